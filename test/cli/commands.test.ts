import { beforeAll, describe, expect, test } from "vitest";
import { pyramidBudgets } from "../../src/cache/budget.ts";
import {
  bufferSource,
  type CacheReport,
  type Engine,
  loadEngine,
  type MemoryReport,
} from "../../src/index.ts";
import { patchUint, tinyFile } from "../engine/tiny-models.ts";
import { goldenPath } from "../golden/format.ts";
import { gpu } from "../gpu.ts";
import { ziggurat } from "./built-command.ts";
import { temporaryFolder } from "./command.ts";

const MODEL = goldenPath("tiny-flow.gguf");
const PROMPT = "Once upon a time";

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let engine: Engine;
beforeAll(async () => {
  folder = await temporaryFolder();
  engine = await loadEngine(bufferSource(tinyFile("tiny-flow"), "tiny.gguf"), { gpu });
  return () => engine.destroy();
});

describe("generate", () => {
  test("streams the answer, and nothing else", async () => {
    const { text } = await engine.generate([{ role: "user", content: PROMPT }], { maxTokens: 20 })
      .result;
    const argv = ["--model", MODEL, "--prompt", PROMPT, "--max-tokens", "20"];
    const { code, stdout, stderr } = await ziggurat("generate", ...argv);
    expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: `${text}\n`, stderr: "" });
  });

  test("prints everything about it as one JSON object", async () => {
    const expected = await engine.generate(PROMPT, { maxTokens: 20 }).result;
    const argv = ["--model", MODEL, "--prompt", PROMPT, "--max-tokens", "20", "--raw", "--json"];
    const { code, stdout, stderr } = await ziggurat("generate", ...argv);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    const result = JSON.parse(stdout) as Record<string, unknown>;
    const { text, tokenIds, promptTokenIds } = expected;
    expect(result).toMatchObject({ text, tokenIds, promptTokenIds, finishReason: "length" });
    expect(result["adapter"]).toEqual(engine.adapter);
    const number = expect.any(Number) as number;
    expect(result["timings"]).toMatchObject({
      prefillTokens: promptTokenIds.length,
      prefillTokensPerSecond: number,
      decodeTokensPerSecond: number,
      timeToFirstTokenMs: number,
    });
    const { weights, kv, activations, staging, total } = expected.memory;
    const { allocated, full, saved } = kv;
    expect(result["memory"]).toMatchObject({
      ...{ weights, activations, staging, total, peak: number },
      kv: { allocated, full, saved, peak: number, layers: kv.layers },
    });
  });

  test("tells what a cache did beside the text that it prints", async () => {
    const argv = ["generate", "--model", MODEL, "--prompt", PROMPT, "--raw", "--max-tokens", "3"];
    const { text } = await engine.generate(PROMPT, { maxTokens: 3 }).result;
    expect(await ziggurat(...argv)).toMatchObject({ stdout: `${text}\n`, stderr: "" });
    const { stdout, stderr } = await ziggurat(...argv, "--policy", "snapkv", "--budget", "1000");
    expect(stdout).toBe(`${text}\n`);
    expect(stderr).toMatch(/^cache: snapkv keeps all \d+ tokens, within its budget\n$/);
  });

  test("takes the prompt from a file, byte for byte", async () => {
    const prompt = "Zeile 1\n\n  Grüße, 你好 👋🏽\n";
    const file = await folder.write("prompt.txt", prompt);
    const argv = ["--model", MODEL, "--prompt-file", file, "--max-tokens", "1", "--raw", "--json"];
    const { stdout } = await ziggurat("generate", ...argv);
    const { promptTokenIds } = await engine.generate(prompt, { maxTokens: 1 }).result;
    expect(JSON.parse(stdout)).toMatchObject({ promptTokenIds });
  });

  test("passes every option of sampling on", async () => {
    const options = { temperature: 1.2, topK: 30, topP: 0.9, minP: 0.01, seed: 7 };
    const more = { repetitionPenalty: 1.2, maxTokens: 25 };
    const expected = await engine.generate(PROMPT, { ...options, ...more }).result;
    const argv =
      "--temperature 1.2 --top-k 30 --top-p 0.9 --min-p 0.01 --seed 7 --repetition-penalty 1.2 --max-tokens 25";
    const { stdout } = await ziggurat(
      ...["generate", "--model", MODEL, "--prompt", PROMPT, "--raw", "--json"],
      ...argv.split(" "),
    );
    expect(JSON.parse(stdout)).toMatchObject({ tokenIds: expected.tokenIds });
  });

  test("ends at a stop text", async () => {
    const { text } = await engine.generate(PROMPT, { maxTokens: 40 }).result;
    const stop = text.slice(10, 13);
    const argv = ["--model", MODEL, "--prompt", PROMPT, "--raw", "--json", "--max-tokens", "40"];
    const { stdout } = await ziggurat("generate", ...argv, "--stop", "never", "--stop", stop);
    const expected = { text: text.slice(0, text.indexOf(stop)), finishReason: "stop" };
    expect(JSON.parse(stdout)).toMatchObject(expected);
  });

  test("keeps keys and values in f32 when asked to", async () => {
    const argv = ["--model", MODEL, "--prompt", PROMPT, "--raw", "--json", "--max-tokens", "1"];
    const { stdout } = await ziggurat("generate", ...argv, "--kv-dtype", "f32");
    const { cache } = JSON.parse(stdout) as { cache: CacheReport };
    const { bytes, heads } = engine.memory().kv.layers[0];
    const table = 16 * heads.length; // of u32, whatever the dtype
    expect(cache.layers[0].bytes - table).toBe(2 * (bytes - table));
  });
});

describe("score", () => {
  test("prints log-probabilities of what follows the context", async () => {
    const text = "The quick brown fox jumps over the lazy dog, and the dog does not care at all.";
    const file = await folder.write("text.txt", text);
    const expected = await engine.score(text, { contextTokens: 5 });
    const argv = ["--model", MODEL, "--text-file", file, "--context", "5"];
    const { code, stdout, stderr } = await ziggurat("score", ...argv, "--json");
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    const result = JSON.parse(stdout) as typeof expected;
    expect(Object.keys(result)).toEqual(
      expect.arrayContaining(["tokenIds", "logprobs", "nll", "perplexity", "memory"]),
    );
    expect(result.tokenIds).toEqual(expected.tokenIds);
    expect(result.logprobs).toEqual(expected.logprobs);
    expect(result).toMatchObject({ nll: expected.nll, perplexity: expected.perplexity });
    expect(result.logprobs).toHaveLength(expected.tokenIds.length - 5);
    const plain = await ziggurat("score", ...argv);
    expect(plain.stdout).toContain(`perplexity ${expected.perplexity.toFixed(3)}`);
  });
});

describe("a compressed cache", () => {
  interface Report {
    readonly cache: CacheReport & { readonly layers: readonly { readonly kept: number[][] }[] };
    readonly memory: MemoryReport;
  }
  const text = "The keeper of the weir wrote down the height of the water every morning. ".repeat(
    8,
  );
  let file: string;
  beforeAll(async () => {
    file = await folder.write("keeper.txt", text);
    return () => engine.setCache({});
  });

  /** Each head keeps as many positions as reported, ascending, and the window. */
  function expectKept({ layers, tokens }: Report["cache"], window: number): void {
    for (const { kept, heads } of layers) {
      expect(kept.map((head) => head.length)).toEqual(heads.map(({ length }) => length));
      for (const head of kept) {
        expect(head).toEqual([...new Set(head)].toSorted((x, y) => x - y));
        const last = Array.from({ length: window }, (_, i) => tokens - window + i);
        expect(head.slice(-window)).toEqual(last);
      }
    }
  }

  test("score takes every option of it, compresses once, and lists what it kept", async () => {
    const options = { budget: 24, windowSize: 4, beta: 5, pool: { kind: "max", size: 7 } } as const;
    await engine.setCache({ policy: "pyramidkv", ...options });
    const expected = await engine.score(text, { contextTokens: 100 });
    const flags = "--policy pyramidkv --budget 24 --window 4 --beta 5 --pool max:7".split(" ");
    const argv = ["--model", MODEL, "--text-file", file, "--context", "100", ...flags];
    const { stdout, stderr } = await ziggurat("score", ...argv, "--json", "--kept");
    expect(stderr).toBe("");
    const { cache, memory, ...result } = JSON.parse(stdout) as Report & { logprobs: number[] };
    expect(result.logprobs).toEqual(expected.logprobs);
    expect(cache).toMatchObject(expected.cache);
    expect(cache).toMatchObject({ policy: "pyramidkv", evicted: true, passes: 1, tokens: 100 });
    const input = { numLayers: 4, tokens: 100, totalRows: 4 * 24, windowSize: 4 };
    expect(cache.layers.map(({ budget }) => budget)).toEqual(pyramidBudgets(input, 5));
    expectKept(cache, 4);
    // What comes after the context is appended, however long it is.
    const rest = expected.tokenIds.length - 1 - 100;
    expect(rest).toBeGreaterThan(64);
    const lengths = memory.kv.layers.map(({ length }) => length);
    expect(lengths).toEqual(cache.layers.map(({ length }) => length + rest));
    expect(memory.kv.saved).toBe(memory.kv.full - memory.kv.allocated);
    const plain = await ziggurat("score", ...argv);
    expect(plain.stdout).toMatch(/\ncache: pyramidkv keeps \d+ to \d+ of 100 tokens per layer, /);
  });

  test("generate takes budgets for each layer", async () => {
    const layerBudgets = [60, 50, 30, 20];
    await engine.setCache({ policy: "snapkv", layerBudgets });
    const expected = await engine.generate(text, { maxTokens: 5 }).result;
    const { stdout } = await ziggurat(
      ...["generate", "--model", MODEL, "--prompt-file", file, "--raw", "--max-tokens", "5"],
      ...["--policy", "snapkv", "--layer-budgets", layerBudgets.join(), "--json", "--kept"],
    );
    const { cache, memory } = JSON.parse(stdout) as Report;
    expect(cache).toMatchObject(expected.cache);
    expect(cache.layers.map(({ budget }) => budget)).toEqual(layerBudgets);
    // The last of the five tokens has no row yet.
    expect(cache.layers.map(({ length }) => length)).toEqual(layerBudgets.map((rows) => rows + 4));
    expectKept(cache, 4);
    const { allocated, full, saved } = expected.memory.kv;
    expect(memory.kv).toMatchObject({ allocated, full, saved });
  });
});

describe("inspect", () => {
  test.each(["tiny-llama", "tiny-qwen2", "tiny-flow"] as const)(
    "%s, as it is loaded",
    async (name) => {
      const { code, stdout, stderr } = await ziggurat(
        ...["inspect", "--model", goldenPath(`${name}.gguf`), "--json"],
      );
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
      const report = JSON.parse(stdout) as Record<string, number> & {
        config: unknown;
        tensors: { name: string; type: string; shape: number[]; gpuBytes: number }[];
      };
      const loaded = await loadEngine(bufferSource(tinyFile(name), `${name}.gguf`), { gpu });
      // The name in the file, where it has one, so the same from either source.
      expect(report.config).toEqual({ ...loaded.config });
      expect(report["gpuWeightBytes"]).toBe(loaded.memory().weights);
      const { layers } = (await loaded.generate([5], { maxTokens: 1 }).result).memory.kv;
      const { numKvHeads, headDim } = loaded.config;
      expect(report["kvBytesPerToken"]).toBe(layers.length * 2 * numKvHeads * headDim * 2);
      expect(report.tensors.map((tensor) => tensor.name)).toContain("blk.0.attn_q.weight");
      await loaded.destroy();
    },
  );

  test("needs no GPU, and prints lines for people", async () => {
    const { code, stdout, stderr } = await ziggurat("inspect", "--model", MODEL);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toContain("architecture: llama\n");
    expect(stdout).toMatch(/^blk\.0\.attn_k\.weight {2}F16 {2}\[64, 128\]/m);
  });
});

test("a model that stops by itself ends there", async () => {
  const { tokenIds } = await engine.generate(PROMPT, { maxTokens: 20 }).result;
  const at = tokenIds.findIndex((id, i) => i > 3 && tokenIds.indexOf(id) === i);
  const file = patchUint(tinyFile("tiny-flow"), "tokenizer.ggml.eos_token_id", tokenIds[at]);
  const model = await folder.write("stops.gguf", file);
  const argv = ["--model", model, "--prompt", PROMPT, "--raw", "--json"];
  const { stdout } = await ziggurat("generate", ...argv);
  expect(JSON.parse(stdout)).toMatchObject({
    tokenIds: tokenIds.slice(0, at),
    finishReason: "stop",
  });
});
