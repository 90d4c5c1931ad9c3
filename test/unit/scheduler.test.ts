import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { fullCacheBytes, type KvShape } from "../../src/cache/layout.ts";
import { type CacheOptions, resolveCacheOptions } from "../../src/cache/options.ts";
import { type PromptPlan, planPrompt } from "../../src/cache/plan-prompt.ts";
import { InvalidOptionError } from "../../src/errors.ts";

const SMOLLM2: KvShape = {
  numLayers: 30,
  numHeads: 9,
  numKvHeads: 3,
  headDim: 64,
  dtype: "f16",
};

/** The plan of a first prompt. */
function plan(options: CacheOptions, tokens: number, passTokens?: number): PromptPlan {
  return planPrompt(SMOLLM2, resolveCacheOptions(options, SMOLLM2.numLayers), tokens, passTokens);
}

const sum = (values: readonly number[]): number =>
  values.reduce((total, value) => total + value, 0);

describe("planPrompt", () => {
  test("keeps everything, and says so, where the prompt is shorter than the budget or the window", () => {
    for (const tokens of [1, 5, 8, 9, 255, 256]) {
      const { rows, evicts } = plan({ policy: "pyramidkv", budget: 256 }, tokens);
      expect(rows).toEqual(Array(30).fill(tokens));
      expect(evicts).toBe(false);
    }
    expect(plan({ policy: "pyramidkv", budget: 256 }, 257).evicts).toBe(true);
  });

  test("spends exactly a share of the prompt", () => {
    const { rows } = plan({ policy: "pyramidkv", budget: "12%" }, 2048);
    expect(sum(rows)).toBe(Math.round(30 * 0.12 * 2048));
    expect(rows[0]).toBeGreaterThan(rows[29] * 5);
  });

  test("lifts a share of a short prompt to the window and one row", () => {
    expect(plan({ policy: "snapkv", budget: "1%" }, 100).rows).toEqual(Array(30).fill(9));
  });

  test("a byte budget buys all of the cache, and leaves less than a row per head unspent", () => {
    fc.assert(
      fc.property(fc.integer({ min: 3_000_000, max: 40_000_000 }), (bytes) => {
        const { bytes: planned, evicts } = plan({ policy: "pyramidkv", budget: `${bytes}B` }, 8000);
        expect(evicts).toBe(true);
        expect(planned.final).toBeLessThanOrEqual(bytes);
        expect(planned.final).toBeGreaterThan(bytes - 3 * (2 * 128 + 4));
      }),
    );
  });

  test("refuses a byte budget that does not hold the windows, naming what would", () => {
    const small = (): PromptPlan => plan({ policy: "pyramidkv", budget: "1MB" }, 8000);
    expect(small).toThrow(InvalidOptionError);
    const needed = Number(/at least (\d+) bytes/.exec(String(catchError(small)))?.[1]);
    expect(sum(plan({ policy: "pyramidkv", budget: `${needed}B` }, 8000).rows)).toBe(30 * 9);
    expect(() => plan({ policy: "pyramidkv", budget: `${needed - 1}B` }, 8000)).toThrow("at least");
  });

  test("peaks at one staged layer and the final cache, and no more than 10 % above", () => {
    for (const tokens of [1024, 4096, 8192]) {
      const { bytes } = plan({ policy: "pyramidkv", budget: 256 }, tokens);
      const layer = 2 * 3 * tokens * 128;
      expect(bytes.peak).toBeLessThanOrEqual((layer + bytes.final) * 1.1);
      expect(bytes.peak).toBeGreaterThanOrEqual(layer + bytes.final);
    }
  });

  test("policy full costs what fullCacheBytes says", () => {
    for (const tokens of [1, 256, 257, 5000]) {
      const { bytes, evicts } = plan({}, tokens);
      expect(evicts).toBe(false);
      expect(bytes.final).toBe(fullCacheBytes(SMOLLM2, tokens));
      expect(bytes.full).toBe(bytes.final);
    }
    expect(fullCacheBytes(SMOLLM2, 8192)).toBe(8192 * 23_040 + 30 * 3 * 16);
  });

  test("takes explicit budgets as they are, up to the prompt", () => {
    const layerBudgets = Array.from({ length: 30 }, (_, l) => 500 - 10 * l);
    const { rows } = plan({ policy: "pyramidkv", layerBudgets }, 400);
    expect(rows).toEqual(layerBudgets.map((value) => Math.min(value, 400)));
  });
});

describe("a prompt in several passes", () => {
  const CACHE: CacheOptions = { policy: "pyramidkv", budget: 256 };

  test("ends with the budgets of the whole prompt, and keeps no layer above them before", () => {
    const whole = plan(CACHE, 4000);
    expect(whole.passes).toBe(1);
    for (const [passTokens, passes] of [
      [4000, 1],
      [3999, 2],
      [1000, 4],
      [300, 14],
    ]) {
      const parts = plan(CACHE, 4000, passTokens);
      expect(parts).toMatchObject({ passes, evicts: true, budgets: whole.budgets });
      expect(parts.rows).toEqual(whole.rows);
      expect(parts.bytes.final).toBe(whole.bytes.final);
    }
  });

  test("stages no more than a pass", () => {
    const whole = plan(CACHE, 4000);
    const parts = plan(CACHE, 4000, 1000);
    const layer = 2 * 3 * 1000 * 128;
    expect(parts.bytes.peak).toBeLessThanOrEqual(1.1 * (layer + parts.bytes.final));
    expect(parts.bytes.peak).toBeLessThan(whole.bytes.peak);
  });

  test("keeps everything where the budget is that long", () => {
    const parts = plan({ policy: "snapkv", budget: "100%" }, 700, 200);
    expect(parts).toMatchObject({ passes: 4, evicts: false, rows: Array(30).fill(700) });
  });

  test("with policy full grows by a layer at a time", () => {
    const { bytes, passes } = plan({}, 1000, 400);
    expect(passes).toBe(3);
    expect(bytes.final).toBe(fullCacheBytes(SMOLLM2, 1000));
    expect(bytes.peak).toBe(bytes.final + 2 * 3 * 512 * 128);
  });
});

describe("resolveCacheOptions", () => {
  test.each<[string, object]>([
    ["policy", { policy: "h2o" }],
    ["policy", { policy: "toString" }],
    ["budget", { policy: "pyramidkv", budget: 8 }],
    ["budget", { policy: "pyramidkv", budget: 0 }],
    ["budget", { policy: "pyramidkv", budget: -3 }],
    ["budget", { policy: "pyramidkv", budget: NaN }],
    ["budget", { policy: "pyramidkv", budget: "many" }],
    ["budget", { budget: 256 }],
    ["beta", { policy: "snapkv", beta: 20 }],
    ["beta", { policy: "pyramidkv", beta: 0.5 }],
    ["windowSize", { policy: "tova", windowSize: 8 }],
    ["windowSize", { policy: "snapkv", windowSize: 0 }],
    ["windowSize", { policy: "snapkv", windowSize: 2.5 }],
    ["numSinks", { policy: "pyramidkv", numSinks: 4 }],
    ["pool", { policy: "snapkv", pool: { kind: "avg", size: 4 } }],
    ["pool", { policy: "snapkv", pool: { kind: "sum", size: 5 } }],
    ["headFloor", { policy: "ada-kv", headFloor: 2 }],
    ["layerBudgets", { policy: "snapkv", layerBudgets: [100] }],
    ["layerBudgets", { policy: "snapkv", layerBudgets: Array(30).fill(5) }],
    ["layerBudgets", { policy: "snapkv", budget: 99, layerBudgets: Array(30).fill(50) }],
    ["kvDtype", { kvDtype: "f64" }],
    ["window", { policy: "snapkv", window: 8 }],
    ["budget", { policy: "snapkv", budget: [256] }],
    ["budget", { policy: "streaming-llm", budget: 4 }],
    ["budget", { policy: "streaming-llm", budget: 20, numSinks: 20 }],
    ["beta", { policy: "pyramidkv", beta: "20" }],
    ["windowSize", { policy: "snapkv", windowSize: null }],
    ["windowSize", { policy: "snapkv", windowSize: 257 }],
    ["pool", { policy: "snapkv", pool: null }],
    ["pool", { policy: "snapkv", pool: "avg:5" }],
    ["headFloor", { policy: "ada-kv", headFloor: "0.5" }],
    ["headFloor", { policy: "ada-kv", headFloor: NaN }],
    ["layerBudgets", { policy: "snapkv", layerBudgets: "30 letters, one for each layer" }],
    ["layerBudgets", { policy: "snapkv", layerBudgets: [...Array(29).fill(50), NaN] }],
  ])("refuses a wrong %s: %j", (option, options) => {
    const error = catchError(() => resolveCacheOptions(options as CacheOptions, 30));
    expect(error).toBeInstanceOf(InvalidOptionError);
    expect((error as InvalidOptionError).option).toBe(option);
    expect((error as InvalidOptionError).message).toMatch(
      new RegExp(`^${option} must be .+, got .+`),
    );
  });

  test.each([
    [{ policy: "pyramidkv", budget: 8 }, "at least 9 (the window of 8, and one row more), got 8"],
    [{ policy: "knorm", budget: -1 }, 'or bytes such as "24MB" or "16MiB", got -1'],
    [
      { policy: "snapkv", beta: 20 },
      "left out with policy snapkv (those that take it: pyramidkv), got 20",
    ],
    [{ policy: "snapkv", layerBudgets: [...Array(29).fill(50), NaN] }, "50, NaN]"],
  ] as const)("says what would do: %j", (options, says) => {
    expect(() => resolveCacheOptions(options, 30)).toThrow(says);
  });
});

function catchError(run: () => unknown): unknown {
  try {
    run();
  } catch (error) {
    return error;
  }
  throw new Error("nothing was thrown");
}
