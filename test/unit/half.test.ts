import { describe, expect, it } from "vitest";
import {
  floatBitsToHalf,
  floatToHalf,
  halfToFloat,
  isHalfNonFinite,
} from "../../src/formats/half.ts";
import { seededRandom } from "../random.ts";

/** Value of half bits, straight from the definition. */
function definition(half: number): number {
  const sign = half >> 15 === 1 ? -1 : 1;
  const exponent = (half >> 10) & 31;
  const fraction = (half & 1023) / 1024;
  if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN;
  return exponent === 0 ? sign * fraction * 2 ** -14 : sign * (1 + fraction) * 2 ** (exponent - 15);
}

/** Nearest half by search over all finite ones; ties to even bits. */
function nearest(value: number): number {
  const magnitude = Math.abs(value);
  let low = 0;
  let high = 0x7c00;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (definition(middle) <= magnitude) low = middle;
    else high = middle;
  }
  // For rounding, the value after the largest half is 65536, not infinity.
  const above = high === 0x7c00 ? 65536 : definition(high);
  const distance = magnitude - definition(low) - (above - magnitude);
  const bits = distance > 0 || (distance === 0 && low % 2 === 1) ? high : low;
  return (value < 0 ? 0x8000 : 0) | bits;
}

/** True where the half is the nearest one; for NaN, where it is some NaN. */
function isNearest(half: number, value: number): boolean {
  return Number.isNaN(value) ? Number.isNaN(halfToFloat(half)) : half === nearest(value);
}

describe("half precision", () => {
  it("reads all 65,536 bit patterns as defined, and writes them back", () => {
    const wrong: string[] = [];
    for (let bits = 0; bits < 0x10000; bits++) {
      const value = halfToFloat(bits);
      const back = floatToHalf(value);
      const same = Number.isNaN(value) ? Number.isNaN(halfToFloat(back)) : back === bits;
      const finite = isHalfNonFinite(bits) !== Number.isFinite(value);
      if (same && finite && Object.is(value, definition(bits))) continue;
      wrong.push(`${bits}: ${value}, back ${back}`);
    }
    expect(wrong).toEqual([]);
  });

  it("rounds to nearest even at, below and above every midpoint", () => {
    const single = new Float32Array(1);
    const bits = new Uint32Array(single.buffer);
    const wrong: string[] = [];
    let checked = 0;
    for (let low = 0; low < 0x7c00; low++) {
      const next = low === 0x7bff ? 65536 : definition(low + 1);
      single[0] = (definition(low) + next) / 2;
      const middle = bits[0];
      for (const around of [middle - 1, middle, middle + 1]) {
        for (const sign of [0, 0x80000000]) {
          bits[0] = around + sign;
          const half = floatBitsToHalf(bits[0]);
          if (!isNearest(half, single[0])) wrong.push(`${single[0]}: ${half}`);
          checked++;
        }
      }
    }
    expect(wrong).toEqual([]);
    expect(checked).toBe(0x7c00 * 6);
  });

  it("rounds random singles of any exponent to nearest", () => {
    const random = seededRandom(7);
    const bits = new Uint32Array(1);
    const single = new Float32Array(bits.buffer);
    const wrong: string[] = [];
    for (let i = 0; i < 20_000; i++) {
      bits[0] = random.integer(2 ** 32);
      const half = floatBitsToHalf(bits[0]);
      if (!isNearest(half, single[0])) wrong.push(`${single[0]}: ${half}`);
    }
    expect(wrong).toEqual([]);
  });

  it("keeps NaN, infinities and the sign of zero", () => {
    expect(halfToFloat(floatToHalf(NaN))).toBeNaN();
    // A NaN whose payload lies only in the bits that are cut off.
    expect(halfToFloat(floatBitsToHalf(0x7f800001))).toBeNaN();
    expect(halfToFloat(floatToHalf(-Infinity))).toBe(-Infinity);
    expect(halfToFloat(floatToHalf(65520))).toBe(Infinity);
    expect(halfToFloat(floatToHalf(65519))).toBe(65504);
    expect(halfToFloat(floatToHalf(-0))).toBe(-0);
  });
});
