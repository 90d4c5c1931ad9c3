import { describe, expect, test } from "vitest";
import { InvalidOptionError } from "../../src/errors.ts";
import { resolveSampling, type SamplingOptions } from "../../src/sampling/options.ts";
import { randomUnit } from "../../src/sampling/rng.ts";
import { seenBitmap } from "../../src/sampling/seen.ts";

describe("resolveSampling", () => {
  test("without options: the best token, everything off, some seed", () => {
    const { seed, ...rest } = resolveSampling();
    expect(rest).toEqual({
      ...{ temperature: 0, repetitionPenalty: 1, topK: 0, topP: 1, minP: 0 },
      ...{ logitBias: [], frequencyPenalty: 0, presencePenalty: 0, logprobs: undefined },
    });
    expect(Number.isInteger(seed) && seed >= 0 && seed < 2 ** 32).toBe(true);
    const seeds = new Set(Array.from({ length: 20 }, () => resolveSampling().seed));
    expect(seeds.size).toBeGreaterThan(15);
  });

  test("what is given stays", () => {
    const options = { temperature: 0.7, repetitionPenalty: 1.1, topK: 40, topP: 0.9, minP: 0.05 };
    expect(resolveSampling({ ...options, seed: 7 })).toMatchObject({ ...options, seed: 7 });
    for (const seed of [0, 2 ** 32 - 1]) expect(resolveSampling({ seed }).seed).toBe(seed);
    expect(resolveSampling({ topP: 1e-9, minP: 1 })).toMatchObject({ topP: 1e-9, minP: 1 });
  });

  test.each<[keyof SamplingOptions, unknown[]]>([
    ["temperature", [-1, 1e-7, 101, NaN, Infinity, "1", null]],
    ["repetitionPenalty", [0, -1, 0.001, 1000, NaN, "1"]],
    ["topK", [-1, 0.5, 2 ** 32, NaN, Infinity, "40"]],
    ["topP", [0, -0.1, 1.01, NaN, "0.9"]],
    ["minP", [-0.1, 1.01, NaN, "0"]],
    ["seed", [-1, 0.5, 2 ** 32, NaN, "7"]],
    ["frequencyPenalty", [-2.1, 2.1, NaN, "1", null]],
    ["presencePenalty", [-2.1, 2.1, NaN, "1", null]],
    ["logprobs", [-1, 21, 0.5, NaN, true, "5", null]],
    ["logitBias", [5, "5", null]],
  ])("%s out of its domain names option, value and rule", (option, values) => {
    for (const value of values) {
      const attempt = (): unknown => resolveSampling({ [option]: value });
      expect(attempt).toThrow(InvalidOptionError);
      expect(attempt).toThrow(new RegExp(`^${option} must be .+, got ${String(value)}$`));
    }
  });
});

describe("logitBias", () => {
  test("ids and biases", () => {
    const { logitBias } = resolveSampling({ logitBias: { 5: -100, 0: 2.5 } }, 6);
    expect(logitBias).toEqual([
      [0, 2.5],
      [5, -100],
    ]);
  });

  test.each([
    [{ 6: 1 }, "logitBias must be for token ids from 0 to 5, got 6"],
    [{ "-1": 1 }, "logitBias must be for token ids from 0 to 5, got -1"],
    [{ hello: 1 }, "logitBias must be for token ids from 0 to 5, got hello"],
    [{ 3: 101 }, "logitBias[3] must be from -100 to 100, got 101"],
    [{ 3: NaN }, "logitBias[3] must be from -100 to 100, got NaN"],
    [{ 3: "1" }, "logitBias[3] must be from -100 to 100, got 1"],
  ])("%j is refused", (logitBias, message) => {
    const attempt = (): unknown =>
      resolveSampling({ logitBias: logitBias as Record<number, number> }, 6);
    expect(attempt).toThrow(InvalidOptionError);
    expect(attempt).toThrow(message);
  });
});

describe("randomUnit", () => {
  test("known values", () => {
    const values = [
      [0, 0],
      [1, 0],
      [0, 1],
      [4294967295, 123456],
    ].map(([seed, step]) => randomUnit(seed, step) * 2 ** 24);
    expect(values).toMatchInlineSnapshot(`
      [
        10203096,
        10616519,
        1757971,
        13744997,
      ]
    `);
  });

  test("multiples of 2^-24 in (0, 1], even over steps and over seeds", () => {
    const COUNT = 200_000;
    const CELLS = 1000;
    for (const draw of [
      (i: number) => randomUnit(42, i),
      (i: number) => randomUnit(i, 42),
      (i: number) => randomUnit(i >>> 8, i & 255),
    ]) {
      const cells = new Float64Array(CELLS);
      for (let i = 0; i < COUNT; i++) {
        const unit = draw(i);
        if (!(unit > 0 && unit <= 1 && Number.isInteger(unit * 2 ** 24))) {
          throw new Error(`${unit} is no multiple of 2^-24 in (0, 1]`);
        }
        cells[Math.ceil(unit * CELLS) - 1]++;
      }
      expectEven(cells, COUNT);
    }
  });

  test("pairs of steps, and of seeds, are independent", () => {
    const COUNT = 200_000;
    for (const draw of [
      (i: number) => [randomUnit(7, i), randomUnit(7, i + 1)],
      (i: number) => [randomUnit(i, 3), randomUnit(i + 1, 3)],
    ]) {
      const cells = new Float64Array(32 * 32);
      for (let i = 0; i < COUNT; i++) {
        const [a, b] = draw(i);
        cells[(Math.ceil(a * 32) - 1) * 32 + Math.ceil(b * 32) - 1]++;
      }
      expectEven(cells, COUNT);
    }
  });
});

/** Chi-square: within 4 standard deviations of its mean (chance of a sound generator: 1 in 10,000). */
function expectEven(cells: Float64Array, count: number): void {
  const mean = count / cells.length;
  const freedom = cells.length - 1;
  const chiSquare = cells.reduce((sum, n) => sum + (n - mean) ** 2 / mean, 0);
  expect(Math.abs(chiSquare - freedom)).toBeLessThan(4 * Math.sqrt(2 * freedom));
}

test("seenBitmap sets one bit for each id", () => {
  expect([...seenBitmap([0, 31, 32, 63, 32, 69], 70)]).toEqual([0x80000001, 0x80000001, 1 << 5]);
  expect([...seenBitmap([], 33)]).toEqual([0, 0]);
});
