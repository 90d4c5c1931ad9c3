import { describe, expect, test } from "vitest";
import { fullCacheBytes } from "../../src/cache/layout.ts";
import {
  CATEGORIES,
  categoryOf,
  generatedRows,
  keptCounts,
  layersAt,
  layersToCsv,
  longestPrompt,
  MODEL_SHAPES,
  type MemoryPlan,
  type ModelShape,
  parseTrace,
  planMemory,
  type RunTrace,
  shapeFromConfig,
  timelineOf,
  traceToChrome,
  traceToJson,
  weightBytes,
} from "../../src/profile.ts";
import { sampleTrace } from "./sample-trace.ts";

const SMOLLM2 = MODEL_SHAPES[0];
const sum = (values: readonly number[]): number => values.reduce((all, value) => all + value, 0);

describe("a plan", () => {
  const kvShape = { numLayers: 30, numHeads: 9, numKvHeads: 3, headDim: 64, dtype: "f16" } as const;

  const bytesOf = ({ layers }: MemoryPlan): number => sum(layers.map(({ bytes }) => bytes));
  const fullBytesOf = ({ layers }: MemoryPlan): number =>
    sum(layers.map(({ fullBytes }) => fullBytes));

  test.each([2048, 8192, 131_072])("adds up to the byte for %i tokens", (tokens) => {
    const request = { model: SMOLLM2, weights: "q4", tokens } as const;
    const pyramid = planMemory({ ...request, cache: { policy: "pyramidkv", budget: 512 } });
    expect(bytesOf(pyramid)).toBe(pyramid.kv.final);
    expect(fullBytesOf(pyramid)).toBe(pyramid.kv.full);
    // The query ring of a policy that needs none has 16 bytes: 30 layers can't share them alike.
    const knorm = planMemory({ ...request, cache: { policy: "knorm", budget: 512 } });
    expect(bytesOf(knorm)).toBe(knorm.kv.final);
    expect(sum(pyramid.layers.map(({ length }) => length))).toBe(30 * 512);
    expect(pyramid.kv.full).toBe(fullCacheBytes(kvShape, tokens));
    const full = planMemory({ ...request, cache: {} });
    expect(bytesOf(full)).toBe(full.kv.final);
    expect(full.layers.every(({ bytes, fullBytes }) => bytes === fullBytes)).toBe(true);
    expect(full.peak).toBe(full.fullPeak);
    expect(pyramid.peak).toBeLessThan(full.peak);
  });

  test("tells the hidden states of a pass, and how many there are", () => {
    const request = { model: SMOLLM2, weights: "q4", tokens: 1000, cache: {} } as const;
    expect(planMemory(request)).toMatchObject({ hidden: 1000 * 576 * 4, passes: 1 });
    const parts = planMemory({ ...request, hiddenBytes: 300 * 576 * 4 });
    expect(parts).toMatchObject({ hidden: 300 * 576 * 4, passes: 4 });
    expect(parts.activations).toBeGreaterThan(parts.hidden);
  });

  test("has the weights of SmolLM2-135M as Q4_1 with a Q8_0 embedding", () => {
    const matrices = 30 * 576 * (576 + 2 * 192 + 576 + 3 * 1536);
    const embedding = 49_152 * 576;
    const vectors = 4 * 576 * 61;
    expect(weightBytes(SMOLLM2, "q4")).toBe((matrices * 5) / 8 + (embedding * 17) / 16 + vectors);
    expect(weightBytes(SMOLLM2, "f16")).toBe(2 * (matrices + embedding) + vectors);
  });

  test("holds a cache for each sequence, and everything else once", () => {
    const request = {
      model: SMOLLM2,
      weights: "q4",
      tokens: 4096,
      cache: { policy: "pyramidkv", budget: 512 },
    } as const;
    const one = planMemory(request);
    const three = planMemory({ ...request, sequences: 3 });
    expect(three.kv).toEqual({
      final: 3 * one.kv.final,
      peak: 2 * one.kv.final + one.kv.peak,
      full: 3 * one.kv.full,
    });
    expect(three.weights).toBe(one.weights);
    expect(three.activations).toBe(one.activations);
    expect(three.layers).toEqual(one.layers);
    expect(three.total - one.total).toBe(2 * one.kv.final);
    expect(three.peak - one.peak).toBe(2 * one.kv.final);
    const full = planMemory({ ...request, cache: {} });
    expect(three.fullPeak - one.fullPeak).toBe(2 * full.kv.final);
    expect(longestPrompt({ ...request, sequences: 3 }, three.peak)).toBeGreaterThanOrEqual(4096);
  });

  test.each([
    ["sequences", 0],
    ["sequences", 1.5],
    ["tokens", Number.NaN],
  ])("refuses %s of %d", (name, count) => {
    const request = { model: SMOLLM2, weights: "q4", tokens: 64, cache: {} } as const;
    expect(() => planMemory({ ...request, [name]: count })).toThrow(
      `${name} must be a whole number of at least 1, got ${count}`,
    );
  });

  test("finds the longest prompt that fits", () => {
    const request = {
      model: SMOLLM2,
      weights: "q4",
      cache: { policy: "pyramidkv", budget: 256 },
    } as const;
    const limit = 112 * 2 ** 20;
    const tokens = longestPrompt(request, limit);
    expect(planMemory({ ...request, tokens }).peak).toBeLessThanOrEqual(limit);
    expect(planMemory({ ...request, tokens: tokens + 1 }).peak).toBeGreaterThan(limit);
    expect(longestPrompt(request, 1000)).toBe(0);
    expect(longestPrompt(request, 2 ** 40)).toBe(SMOLLM2.contextLength);
  });

  test("reads the shape of a config.json, and names what is wrong in one", () => {
    const config = {
      model_type: "llama",
      hidden_size: 576,
      num_hidden_layers: 30,
      num_attention_heads: 9,
      num_key_value_heads: 3,
      intermediate_size: 1536,
      vocab_size: 49152,
      max_position_embeddings: 8192,
      tie_word_embeddings: true,
    };
    const { name, ...shape }: ModelShape = shapeFromConfig(JSON.stringify(config));
    expect({ ...shape, name: SMOLLM2.name }).toEqual(SMOLLM2);
    expect(name).toBe("llama");
    for (const [field, value] of [
      ["hidden_size", -1],
      ["num_hidden_layers", "30"],
      ["num_key_value_heads", 4],
      ["vocab_size", undefined],
    ] as const) {
      const wrong = JSON.stringify({ ...config, [field]: value });
      expect(() => shapeFromConfig(wrong)).toThrow(field);
    }
    expect(() => shapeFromConfig("no config")).toThrow("JSON");
    expect(() => shapeFromConfig("null")).toThrow("num_attention_heads");
  });
});

describe("a run", () => {
  test("is replayed: categories add up to the total, at every entry", () => {
    const { times, bytes, total, full } = timelineOf(sampleTrace());
    times.forEach((_, i) => expect(sum(CATEGORIES.map((name) => bytes[name][i]))).toBe(total[i]));
    expect(full.at(-1)).toBe(524_416);
    expect(Math.max(...total)).toBe(total[times.indexOf(60) - 1]);
    expect(categoryOf({ purpose: "kv", label: "staged keys" })).toBe("keys");
    expect(categoryOf({ purpose: "kv", label: "layer 3 values" })).toBe("values");
    expect(categoryOf({ purpose: "kv", label: "pooled scores" })).toBe("index");
  });

  test("counts rows that were appended since the last look at the layers", () => {
    const trace = sampleTrace();
    expect(layersAt(trace, 5).layers).toEqual([]);
    expect(layersAt(trace, 70).layers.map(({ length }) => length)).toEqual([40, 32, 24, 16]);
    expect(layersAt(trace, 160).layers.map(({ length }) => length)).toEqual([45, 37, 29, 21]);
  });

  test("tells rows of the prompt from generated ones, or that it can't", () => {
    const trace = sampleTrace();
    const rows = (...counts: number[]): number[][] => [0, 1, 2, 3].map(() => counts);
    expect(generatedRows(trace, 5)).toBeUndefined();
    expect(generatedRows(trace, 70)).toEqual(rows(0, 0));
    expect(generatedRows(trace, 160)).toEqual(rows(5, 5));
    // Compressed again within the answer: only the positions kept at its end tell.
    const again = [{ name: "compress", start: 140, end: 145 } as const];
    const squeezed = { ...trace, phases: [...trace.phases, ...again] };
    expect(generatedRows(squeezed, 70)).toEqual(rows(0, 0));
    expect(generatedRows(squeezed, 160)).toBeUndefined();
    const lengths = layersAt(trace, 160).layers.map(({ length }) => length);
    const kept = lengths.map((length) => [
      Array.from({ length }, (_, i) => 69 - length + i),
      [0, 1, 64],
    ]);
    expect(generatedRows({ ...squeezed, kept }, 160)).toEqual(rows(5, 1));
    expect(generatedRows({ ...squeezed, kept }, 148)).toBeUndefined();
  });

  test("knows how many pairs keep a token", () => {
    const trace = sampleTrace();
    const counts = keptCounts(trace.kept, 64);
    expect(sum(counts)).toBe(2 * (40 + 32 + 24 + 16));
    expect(counts[63]).toBe(8);
    expect(counts[0]).toBe(4);
  });
});

describe("an export", () => {
  test("as JSON is read back as it was", () => {
    expect(parseTrace(traceToJson(sampleTrace()))).toEqual(sampleTrace());
    const scores = [{ position: 3, heads: [[null, { rank: 1, of: 64 }]] }];
    const asked = { ...sampleTrace(), scores };
    expect(parseTrace(traceToJson(asked))).toEqual(asked);
  });

  test.each<[string, (run: Record<string, unknown>) => unknown]>([
    ["schema", (run) => (run["schema"] = "ziggurat-trace/9")],
    ["run.model.numLayers", (run) => (run["model"] = { name: "x" })],
    ["run.events[0].type", (run) => (run["events"] = [{ type: "grow" }])],
    ["run.events[0].buffer.bytes", (run) => (run["events"] = [withBytes(-4)])],
    ["run.kept[0][0][0]", (run) => (run["kept"] = [[["a"]]])],
    ["run.end", (run) => (run["end"] = null)],
    [
      "run.scores[0].heads[0][0].of",
      (run) => (run["scores"] = [{ position: 3, heads: [[{ rank: 1 }]] }]),
    ],
  ])("of which %s is wrong is refused", (path, spoil) => {
    const run = { ...sampleTrace() } as unknown as Record<string, unknown>;
    spoil(run);
    expect(() => parseTrace(JSON.stringify(run))).toThrow(path);
  });

  test("that is no JSON, or nothing, is refused", () => {
    for (const text of ["GGUF", "", "null", "3", "[]"])
      expect(() => parseTrace(text)).toThrow("must be");
  });

  test("as CSV has a line for each layer", () => {
    const lines = layersToCsv(sampleTrace()).split("\r\n");
    expect(lines).toHaveLength(6);
    expect(lines[0].split(",")).toHaveLength(7);
    expect(lines[1]).toMatch(/^0,40,40,104,54080,131072,0\.85/);
  });

  test("as Chrome trace events has slices and counters that equal the ledger, and no text", () => {
    const trace = sampleTrace();
    const text = traceToChrome(trace);
    const { traceEvents } = JSON.parse(text) as {
      traceEvents: {
        ph: string;
        name: string;
        ts: number;
        dur: number;
        args: Record<string, number>;
      }[];
    };
    const slices = traceEvents.filter(({ ph }) => ph === "X");
    expect(slices.map(({ name }) => name)).toContain("prefill layer 3");
    for (const { ts, dur } of slices) {
      expect(Number.isInteger(ts)).toBe(true);
      expect(dur).toBeGreaterThanOrEqual(0);
    }
    const counters = traceEvents.filter(({ ph, name }) => ph === "C" && name.startsWith("GPU"));
    const { times, total } = timelineOf(trace as RunTrace);
    for (const { ts, args } of counters) {
      expect(sum(Object.values(args))).toBe(total[times.lastIndexOf(ts / 1000)]);
    }
    expect(counters.length).toBeGreaterThan(8);
    expect(text).not.toContain("word1");
  });
});

const withBytes = (bytes: number): object => ({
  type: "alloc",
  buffer: { id: 0, label: "x", purpose: "kv", bytes, usage: 0, at: 0 },
});
