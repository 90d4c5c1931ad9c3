import { describe, expect, test } from "vitest";
import { expectClose } from "../expect-close.ts";
import { seededRandom } from "../random.ts";

const exact = { atol: 0, rtol: 0 };

describe("expectClose", () => {
  test("accepts what is within either tolerance", () => {
    expectClose([1.01, 100], [1, 101], { atol: 0.011, rtol: 0.0099 });
    expectClose([NaN, Infinity, 0], [NaN, Infinity, -0], exact);
  });

  test("names the first five mismatches and counts all", () => {
    const expected = new Float32Array(20);
    const actual = expected.map((_, i) => (i < 3 ? 0 : i));
    const compare = (): void => expectClose(actual, expected, { atol: 0.5, rtol: 0 });
    expect(compare).toThrow(/^17 of 20 numbers/);
    expect(compare).toThrow("[3] got 3, expected 0");
    expect(compare).toThrow("[7] got 7, expected 0");
    expect(compare).not.toThrow("[8]");
  });

  test.each([
    ["a NaN", [NaN], [0]],
    ["a missing NaN", [0], [NaN]],
    ["an infinity for a number", [Infinity], [3]],
    ["a number for an infinity", [3], [Infinity]],
    ["the wrong infinity", [-Infinity], [Infinity]],
    ["another length", [1], [1, 1]],
  ])("refuses %s", (_, actual, expected) => {
    expect(() => expectClose(actual, expected, { atol: 1e9, rtol: 1e9 })).toThrow(/expected/);
  });
});

describe("seededRandom", () => {
  test("repeats itself by seed", () => {
    const once = seededRandom(7).normals(50);
    expect(seededRandom(7).normals(50)).toEqual(once);
    expect(seededRandom(8).normals(50)).not.toEqual(once);
  });

  test("draws from the distributions that it names", () => {
    const random = seededRandom(1);
    const mean = (values: ArrayLike<number>): number =>
      Array.from(values).reduce((sum, x) => sum + x, 0) / values.length;
    const normals = random.normals(20000, 2);
    expect(mean(normals)).toBeCloseTo(0, 1);
    expect(mean(normals.map((x) => x * x))).toBeGreaterThan(3.8);
    expect(mean(normals.map((x) => x * x))).toBeLessThan(4.2);
    const uniforms = random.uniforms(20000, -1, 3);
    expect(mean(uniforms)).toBeCloseTo(1, 1);
    expect(Math.min(...uniforms)).toBeGreaterThanOrEqual(-1);
    expect(Math.max(...uniforms)).toBeLessThan(3);
    expect(new Set(random.integers(500, 5))).toEqual(new Set([0, 1, 2, 3, 4]));
  });
});
