import { describe, expect, test } from "vitest";
import type { CacheOptions, Engine, LoadOptions } from "../../src/index.ts";
import { MODEL_SHAPES, type ModelShape, planMemory } from "../../src/profile.ts";
import { digits, openTiny } from "./tiny-models.ts";

const PASS_TOKENS = 100;
/** `tiny-flow` has 128 numbers per hidden state. */
const hiddenBytes = PASS_TOKENS * 128 * 4;

const open = (options: LoadOptions): Promise<Engine> => openTiny("tiny-flow", options);

describe.each<readonly [string, CacheOptions]>([
  ["pyramidkv", { policy: "pyramidkv", budget: 64 }],
  ["a share, which is one of the whole prompt", { policy: "snapkv", budget: "20%" }],
  ["full", {}],
])("a prompt whose hidden states don't fit: %s", (_name, cache) => {
  test("is read in as many passes as planned, for the bytes that are planned", async () => {
    const engine = await open({ cache, hiddenBytes });
    const tokens = 450;
    const done: number[] = [];
    const { cache: report, memory } = await engine.generate(digits(tokens), {
      maxTokens: 1,
      onPrefill: ({ doneTokens, totalTokens }) => {
        expect(totalTokens).toBe(tokens);
        done.push(doneTokens);
      },
    }).result;
    const model: ModelShape = { ...MODEL_SHAPES[0], ...engine.config };
    const plan = planMemory({ model, weights: "q8", tokens, cache, hiddenBytes });
    expect([report.passes, plan.passes]).toEqual([5, 5]);
    expect(report.layers.map(({ budget }) => budget)).toEqual(
      plan.layers.map(({ budget }) => budget),
    );
    expect(memory.kv.allocated).toBe(plan.kv.final);
    expect(memory.kv.peak).toBe(plan.kv.peak);
    const whole = await open({ cache });
    const once = (await whole.generate(digits(tokens), { maxTokens: 1 }).result).memory;
    expect(once.kv.allocated).toBe(memory.kv.allocated);
    expect(once.peaks.activations - memory.peaks.activations).toBeGreaterThan(
      (tokens - PASS_TOKENS) * 128 * 4,
    );
    expect(done).toEqual(done.toSorted((a, b) => a - b));
    expect(done.at(-1)).toBe(tokens);
  });

  test("leaves the cache as it was when it is given up between two passes", async () => {
    const engine = await open({ cache, hiddenBytes });
    const first = digits(150);
    const state = async (): Promise<object> => {
      const { kv, total } = engine.memory();
      return {
        layers: kv.layers,
        bytes: [kv.allocated, total],
        kept: await engine.keptPositions(),
      };
    };
    await engine.generate(first, { maxTokens: 1 }).result;
    const before = await state();
    const stop = new AbortController();
    const onPrefill = ({ doneTokens }: { doneTokens: number }): void => {
      if (doneTokens > 2.5 * PASS_TOKENS) stop.abort(new Error("enough"));
    };
    const call = engine.generate(digits(500), { signal: stop.signal, onPrefill }).result;
    await expect(call).rejects.toThrow("enough");
    expect(await state()).toEqual(before);
    const { tokenIds, usage } = await engine.generate(digits(300), { maxTokens: 20 }).result;
    expect(usage.cachedTokens).toBe(150);
    const other = await open({ cache, hiddenBytes });
    await other.generate(first, { maxTokens: 1 }).result;
    const wanted = await other.generate(digits(300), { maxTokens: 20 }).result;
    expect(tokenIds).toEqual(wanted.tokenIds);
  });
});

test("passes change nothing but roundings where nothing is evicted", async () => {
  const ids = Array.from({ length: 460 }, (_, i) => 3 + ((i * i + 31 * i) % 500));
  const score = async (options: LoadOptions): Promise<readonly number[]> => {
    const engine = await open({ ...options, cache: { ...options.cache, kvDtype: "f32" } });
    return (await engine.score(ids, { contextTokens: 430 })).logprobs;
  };
  const wanted = await score({});
  for (const cache of [{}, { policy: "pyramidkv", budget: "100%" }] as const) {
    for (const [i, logprob] of (await score({ cache, hiddenBytes })).entries()) {
      expect(logprob).toBeCloseTo(wanted[i], 4);
    }
  }
});
