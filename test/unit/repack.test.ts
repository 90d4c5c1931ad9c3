import { describe, expect, it } from "vitest";
import { dequantize } from "../../src/formats/blocks.ts";
import { floatToHalf, halfToFloat } from "../../src/formats/half.ts";
import { planarLayout, repackRows } from "../../src/formats/planar.ts";
import { TENSOR_TYPES } from "../../src/formats/tensor-types.ts";
import { seededRandom } from "../random.ts";
import { dequantise } from "../reference/planar.ts";
import { randomBlocks } from "../reference/random_blocks.ts";
import { rubbishPlanes } from "./matrix-cases.ts";

/** Largest |value - expected| as a share of `unit`, element by element. */
function worst(actual: Float32Array, expected: Float32Array, unit: (i: number) => number): number {
  let share = 0;
  actual.forEach((value, i) => {
    share = Math.max(share, Math.abs(value - expected[i]) / unit(i));
  });
  return share;
}

const EXACT = TENSOR_TYPES.filter((type) => !planarLayout(type).lossy);
const K_QUANTS = ["Q4_K", "Q5_K", "Q6_K"] as const;

describe("repackRows", () => {
  it("keeps F16, Q4_0, Q4_1, Q5_0, Q5_1 and Q8_0 exactly, rounds the others", () => {
    expect(EXACT.toSorted()).toEqual(["F16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0"]);
  });

  it.each(EXACT)("%s: the planes hold exactly the decoded values", (type) => {
    // 7 rows of 3 blocks: an odd number of blocks in all, so the last scale word is half padding.
    const [rows, cols] = [7, 96];
    const src = randomBlocks(type, rows * cols, seededRandom(1), type === "F16" ? 60000 : 100);
    const layout = planarLayout(type);
    const planes = rubbishPlanes(layout, rows, cols);
    expect(repackRows(type, src, rows, cols, planes)).toBe(0);
    const expected = dequantize(type, src, rows * cols);
    // Sums of scale * q and minimum round once in f32, in the same way.
    expect(dequantise(planes).map((v) => v + 0)).toEqual(expected.map((v) => v + 0));
    const padded = layout.kind === "q8" && !layout.hasMin;
    expect(padded ? planes.scales.at(-1)! >>> 16 : 0).toBe(0);
  });

  it.each(K_QUANTS)("%s: only the products of scales are rounded, to f16", (type) => {
    const [rows, cols] = [5, 512];
    const src = randomBlocks(type, rows * cols, seededRandom(2), 0.02);
    const layout = planarLayout(type);
    const planes = rubbishPlanes(layout, rows, cols);
    expect(repackRows(type, src, rows, cols, planes)).toBe(0);
    const actual = dequantise(planes);
    const expected = dequantize(type, src, rows * cols);
    // Half an ulp of f16 is at most 2^-11 of the scale (2^-25 where it is subnormal), times the largest |q|, and
    // the same of the minimum; the scales are at most 0.02 * 63 (or 127).
    const largestQ = { Q4_K: 15, Q5_K: 31, Q6_K: 32 }[type];
    const rounding = (i: number): number => {
      const block = Math.floor(i / layout.blockSize);
      const word = layout.hasMin
        ? planes.scales[block]
        : planes.scales[block >> 1] >>> (16 * (block & 1));
      const scale = Math.abs(halfToFloat(word));
      const min = layout.hasMin ? Math.abs(halfToFloat(word >>> 16)) : 0;
      return (scale * largestQ + min) * 2 ** -11 + (largestQ + 1) * 2 ** -25;
    };
    expect(worst(actual, expected, rounding)).toBeLessThanOrEqual(1.001);
    expect(worst(actual, expected, rounding)).toBeGreaterThan(0.1);
  });

  it.each(["F32", "BF16"] as const)("%s: every value is the nearest half", (type) => {
    const [rows, cols] = [3, 64];
    const src = randomBlocks(type, rows * cols, seededRandom(3), 1000);
    const planes = rubbishPlanes(planarLayout(type), rows, cols);
    expect(repackRows(type, src, rows, cols, planes)).toBe(0);
    const expected = dequantize(type, src, rows * cols).map((v) => halfToFloat(floatToHalf(v)));
    expect(dequantise(planes)).toEqual(expected);
  });

  it("places elements as the kernels expect: q4 word c, nibble i is element 4i + c", () => {
    // Q4_1 with d = 1, m = 0: element j is j mod 16, so byte j holds j in both nibbles.
    const src = new Uint8Array([0, 0x3c, 0, 0, ...Array.from({ length: 16 }, (_, j) => j * 17)]);
    const planes = rubbishPlanes(planarLayout("Q4_1"), 1, 32);
    repackRows("Q4_1", src, 1, 32, planes);
    expect(Array.from(planes.quants, (word) => word.toString(16))).toEqual([
      "c840c840",
      "d951d951",
      "ea62ea62",
      "fb73fb73",
    ]);
    expect([...planes.scales]).toEqual([0x3c00]);
  });

  it("places elements as the kernels expect: q8 word c, byte p is element 4p + c of 16", () => {
    // Two Q8_0 blocks with d = 1 and 2: element j is j, and -j.
    const bytes = Array.from({ length: 32 }, (_, j) => j);
    const src = new Uint8Array([0, 0x3c, ...bytes, 0, 0x40, ...bytes.map((j) => -j & 255)]);
    const planes = rubbishPlanes(planarLayout("Q8_0"), 1, 64);
    repackRows("Q8_0", src, 1, 64, planes);
    expect(Array.from(planes.quants.slice(0, 8), (word) => word.toString(16))).toEqual([
      "8c888480",
      "8d898581",
      "8e8a8682",
      "8f8b8783",
      "9c989490",
      "9d999591",
      "9e9a9692",
      "9f9b9793",
    ]);
    expect(planes.quants[8]).toBe(0x74787c80);
    expect([...planes.scales]).toEqual([0x40003c00]);
  });

  it("counts scales and values that f16 cannot hold", () => {
    const planes = rubbishPlanes(planarLayout("F32"), 1, 64);
    const floats = new Float32Array(64).fill(1);
    floats.set([65520, -1e30, Infinity, NaN, 65519], 5);
    expect(repackRows("F32", new Uint8Array(floats.buffer), 1, 64, planes)).toBe(4);
  });

  it.each(TENSOR_TYPES)("%s: counts a first scale or value that is infinite", (type) => {
    const src = randomBlocks(type, 256, seededRandom(4), 1);
    const at = type === "Q6_K" ? 208 : type === "F32" ? 2 : 0;
    src.set(type === "F32" || type === "BF16" ? [0x80, 0x7f] : [0x00, 0x7c], at);
    const planes = rubbishPlanes(planarLayout(type), 1, 256);
    expect(repackRows(type, src, 1, 256, planes)).toBeGreaterThan(0);
  });

  it("repacks Q4_1, Q8_0 and Q6_K at a speed that loading can bear", () => {
    for (const type of ["Q4_1", "Q8_0", "Q6_K"] as const) {
      const [rows, cols] = [1536, 2048];
      const src = randomBlocks(type, rows * cols, seededRandom(5));
      const planes = rubbishPlanes(planarLayout(type), rows, cols);
      const times = [1, 2, 3].map(() => {
        const start = process.cpuUsage();
        repackRows(type, src, rows, cols, planes);
        return process.cpuUsage(start).user / 1e6; // what other processes take of the machine doesn't count
      });
      const rate = src.length / 1e6 / Math.min(...times);
      console.log(`repack ${type}: ${rate.toFixed(0)} MB/s`);
      // 100 MB in about two seconds would be 50; slow machines get some slack.
      expect(rate).toBeGreaterThan(15);
    }
  });
});
