import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { fullCacheBytes, type KvShape } from "../../src/cache/layout.ts";
import { type CacheOptions, resolveCacheOptions } from "../../src/cache/options.ts";
import { type CachePlan, planCache } from "../../src/cache/scheduler.ts";
import { InvalidOptionError } from "../../src/errors.ts";

const SMOLLM2: KvShape = {
  numLayers: 30,
  numHeads: 9,
  numKvHeads: 3,
  headDim: 64,
  dtype: "f16",
};

/** The plan of a first prompt. */
function plan(options: CacheOptions, tokens: number, shape = SMOLLM2): CachePlan {
  const none = Array<number>(shape.numLayers).fill(0);
  return planCache(shape, resolveCacheOptions(options, shape.numLayers), {
    promptTokens: tokens,
    tokens,
    newTokens: tokens,
    lengths: none,
    capacities: none,
    longest: 0,
    evict: true,
  });
}

const sum = (values: readonly number[]): number =>
  values.reduce((total, value) => total + value, 0);

describe("planCache", () => {
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
    const small = (): CachePlan => plan({ policy: "pyramidkv", budget: "1MB" }, 8000);
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
  ])("refuses a wrong %s: %j", (option, options) => {
    const error = catchError(() => resolveCacheOptions(options as CacheOptions, 30));
    expect(error).toBeInstanceOf(InvalidOptionError);
    expect((error as InvalidOptionError).option).toBe(option);
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
