import { describe, expect, test } from "vitest";
import {
  buffersAt,
  type Category,
  CATEGORIES,
  indexAt,
  layersAt,
  parseTrace,
  timelineOf,
  traceToJson,
} from "../../src/profile.ts";
import type { CallOptions } from "../../src/index.ts";
import { adapterFeatures } from "../gpu.ts";
import { digits, openTiny } from "./tiny-models.ts";

const PYRAMID = { policy: "pyramidkv", budget: 40 } as const;

const sum = (values: readonly number[]): number => values.reduce((all, value) => all + value, 0);

describe("a trace", () => {
  test("has the ledger of every moment, to the byte", async () => {
    const engine = await openTiny("tiny-flow", { cache: PYRAMID, trace: true });
    const seen: { at: number; total: number; kv: number }[] = [];
    const look = async (): Promise<void> => {
      const { total, kv } = engine.memory();
      const { end } = await engine.trace();
      // Nothing else runs between the two.
      seen.push({ at: end, total, kv: kv.allocated });
    };
    await look();
    const text = digits(300);
    await engine.generate(text, { maxTokens: 80 }).result;
    await look();
    for await (const piece of engine.generate(`${text}12`, { maxTokens: 8 })) {
      expect(piece.tokenIds.length).toBeGreaterThan(0);
      await look();
    }
    const trace = await engine.trace();
    const { times, total, bytes } = timelineOf(trace);
    const kv: readonly Category[] = ["keys", "values", "index"];
    for (const moment of seen) {
      const i = indexAt(times, moment.at);
      expect(total[i]).toBe(moment.total);
      expect(sum(kv.map((name) => bytes[name][i]))).toBe(moment.kv);
      expect(sum(CATEGORIES.map((name) => bytes[name][i]))).toBe(moment.total);
      expect(sum(buffersAt(trace, moment.at).map((buffer) => buffer.bytes))).toBe(moment.total);
    }
    const ready = indexAt(times, seen[0].at); // an engine's peaks begin when it is loaded
    expect(Math.max(...total.slice(ready))).toBe(engine.memory().peak);
    expect(layersAt(trace, trace.end).layers).toEqual(engine.memory().kv.layers);
    expect(layersAt(trace, trace.end).fullBytes).toBe(engine.memory().kv.full);
    expect(parseTrace(traceToJson(trace))).toEqual(trace);

    const { numLayers } = engine.config;
    for (const name of ["prefill", "compress"] as const) {
      const layers = trace.phases.filter((phase) => phase.name === name).map(({ layer }) => layer);
      expect(new Set(layers.filter((layer) => layer !== undefined)).size).toBe(numLayers);
    }
    expect(trace.phases[0].name).toBe("load");
    trace.phases.reduce((before, phase) => {
      expect(phase.start).toBeGreaterThanOrEqual(before.end);
      return phase;
    });
    expect(trace.kept).toEqual(await engine.keptPositions());
    expect(trace.tokens?.map(({ text: piece }) => piece).join("")).toContain(text.slice(0, 200));
    expect(trace.calls.map(({ completionTokens }) => completionTokens)).toEqual([80, 8]);
    expect(trace.kernels.unavailable).toContain("not asked for");
  });

  test("keeps the bytes exact where the ring has let events go", async () => {
    const engine = await openTiny("tiny-flow", { cache: PYRAMID, trace: { maxEvents: 20 } });
    await engine.generate(digits(200), { maxTokens: 4 }).result;
    const trace = await engine.trace();
    expect(trace.events).toHaveLength(20);
    expect(trace.droppedEvents).toBeGreaterThan(20);
    expect(timelineOf(trace).total.at(-1)).toBe(engine.memory().total);
  });

  test("shows layers as they are compressed, during the prefill", async () => {
    const engine = await openTiny("tiny-flow", { cache: PYRAMID });
    const compressed: number[] = [];
    const onPrefill = (): void => {
      const { layers } = engine.memory().kv;
      compressed.push(layers.filter(({ length }) => length > 0).length);
      for (const { length, capacity, budget } of layers.filter((layer) => layer.length > 0)) {
        expect(length).toBe(budget);
        expect(capacity).toBe(length + 64);
      }
    };
    const { memory } = await engine.generate(digits(200), { maxTokens: 1, onPrefill }).result;
    expect(compressed).toEqual(Array.from({ length: engine.config.numLayers }, (_, l) => l + 1));
    expect(memory.kv.layers.map(({ length }) => length)).toEqual(
      memory.kv.layers.map(({ budget }) => budget),
    );
  });

  test("tells how any token ranked: those up to the budget are the ones kept", async () => {
    const engine = await openTiny("tiny-flow", { cache: PYRAMID, trace: { scores: true } });
    const ranksAgree = async (tokens: number): Promise<void> => {
      const kept = await engine.keptPositions();
      const { layers } = engine.memory().kv;
      for (const position of [0, 1, 77, tokens - 8, tokens - 1]) {
        const scores = await engine.tokenScores(position);
        const agree = kept.map((heads, layer) =>
          heads.map((positions, head) => {
            const score = scores?.[layer]?.[head];
            const isKept = (score?.rank ?? Infinity) <= layers[layer].budget;
            return isKept === positions.includes(position);
          }),
        );
        expect(agree).toEqual(kept.map((heads) => heads.map(() => true)));
      }
    };
    const text = digits(150);
    const { length } = (await engine.generate(text, { maxTokens: 1 }).result).promptTokenIds;
    await ranksAgree(length);
    const [first] = (await engine.tokenScores(length - 1)) ?? [];
    // A row of the window: ranked first, whatever its score.
    expect(first[0]).toEqual({ rank: expect.any(Number) as number, of: length });
    expect(first[0]!.rank).toBeLessThanOrEqual(8);
    expect((await engine.tokenScores(0))?.[0][0]?.score).toBeGreaterThan(0);
    expect((await engine.tokenScores(length))?.flat().every((score) => score === null)).toBe(true);
    // Rows kept before are ranked again beside new ones, and are known by their positions.
    const more = (await engine.generate(text + digits(100), { maxTokens: 1 }).result).usage;
    expect(more.cachedTokens).toBeGreaterThan(0);
    await ranksAgree(more.promptTokens);
    await expect(engine.tokenScores(-1)).rejects.toMatchObject({ option: "position" });
    await engine.setCache({ policy: "streaming-llm", budget: 40 });
    await engine.generate(text, { maxTokens: 1 }).result;
    expect(await engine.tokenScores(0)).toBeUndefined();
    const untold = await openTiny("tiny-flow", { trace: true });
    await expect(untold.tokenScores(0)).rejects.toMatchObject({ option: "trace.scores" });
    await engine.destroy();
    expect(engine.memory().total).toBe(0);
  });

  test("is refused where the engine does not keep one", async () => {
    const engine = await openTiny("tiny-flow");
    await expect(engine.trace()).rejects.toMatchObject({ option: "trace" });
    await expect(openTiny("tiny-flow", { trace: { maxEvents: 0 } })).rejects.toMatchObject({
      option: "trace.maxEvents",
    });
  });

  test("times kernels where the GPU offers it, and changes no token", async () => {
    const plain = await openTiny("tiny-flow");
    const timed = await openTiny("tiny-flow", { trace: { kernelTimes: true } });
    const options = { maxTokens: 40 };
    const expected = await plain.generate(digits(60), options).result;
    const { tokenIds } = await timed.generate(digits(60), options).result;
    expect(tokenIds).toEqual(expected.tokenIds);
    // Times come when the GPU is done: nobody waits for them but this.
    const wanted = adapterFeatures.has("timestamp-query");
    await expect.poll(async () => (await timed.trace()).kernels.steps > 0).toBe(wanted);
    const { kernels } = await timed.trace();
    expect(kernels.unavailable === undefined).toBe(wanted);
    const layers = new Set(kernels.decode.map(({ layer }) => layer));
    expect(layers.size).toBe(wanted ? timed.config.numLayers + 1 : 0);
    expect(kernels.lastStep).toHaveLength(wanted ? timed.dispatchesPerToken : 0);
    for (const { p50Ms, p95Ms } of kernels.decode) expect(p95Ms).toBeGreaterThanOrEqual(p50Ms);
  });
});

test("what reads an engine's state can be aborted, and the next call is served", async () => {
  const engine = await openTiny("tiny-flow", { cache: PYRAMID, trace: { scores: true } });
  await engine.read(digits(100));
  const reason = new Error("no time");
  const calls: ((options: CallOptions) => Promise<unknown>)[] = [
    (options) => engine.previewPrompt(digits(100), options),
    (options) => engine.tokenScores(3, options),
    (options) => engine.trace(options),
    (options) => engine.loadAllParts(options),
  ];
  for (const call of calls) {
    await expect(call({ signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  }
  for (const call of calls.slice(1)) {
    const stop = new AbortController();
    const running = call({ signal: stop.signal });
    stop.abort(reason);
    await expect(running).rejects.toBe(reason);
  }
  for (const call of calls) await call({ signal: new AbortController().signal });
  await engine.destroy();
});
