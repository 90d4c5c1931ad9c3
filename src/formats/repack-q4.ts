import { floatToHalf, halfToFloat, isHalfNonFinite } from "./half.ts";
import { unpackKScales } from "./k-scales.ts";
import type { Planes } from "./planar.ts";

/**
 * Repacks Q4_0, Q4_1 (exactly) and Q4_K (products of scales rounded to f16) to the q4 layout.
 *
 * @returns how many scales or minimums are not finite.
 */
export function repackQ4(
  type: "Q4_0" | "Q4_1" | "Q4_K",
  src: Uint8Array,
  elements: number,
  out: Planes,
): number {
  switch (type) {
    case "Q4_0":
      return repackQ4_0(src, elements / 32, out);
    case "Q4_1":
      return repackQ4_1(src, elements / 32, out);
    case "Q4_K":
      return repackQ4K(src, elements / 256, out);
  }
}

function repackQ4_0(src: Uint8Array, blocks: number, { quants, scales }: Planes): number {
  let nonFinite = 0;
  for (let block = 0, at = 0; block < blocks; block++, at += 18) {
    const d = src[at]! | (src[at + 1]! << 8);
    const min = floatToHalf(-8 * halfToFloat(d));
    if (isHalfNonFinite(min)) nonFinite++;
    scales[block] = d | (min << 16);
    packSplitNibbles(src, at + 2, quants, block * 4);
  }
  return nonFinite;
}

function repackQ4_1(src: Uint8Array, blocks: number, { quants, scales }: Planes): number {
  let nonFinite = 0;
  for (let block = 0, at = 0; block < blocks; block++, at += 20) {
    const d = src[at]! | (src[at + 1]! << 8);
    const min = src[at + 2]! | (src[at + 3]! << 8);
    if (isHalfNonFinite(d) || isHalfNonFinite(min)) nonFinite++;
    scales[block] = d | (min << 16);
    packSplitNibbles(src, at + 4, quants, block * 4);
  }
  return nonFinite;
}

function repackQ4K(src: Uint8Array, superBlocks: number, { quants, scales }: Planes): number {
  const steps = new Uint8Array(16);
  let nonFinite = 0;
  for (let superBlock = 0, at = 0; superBlock < superBlocks; superBlock++, at += 144) {
    const d = halfToFloat(src[at]! | (src[at + 1]! << 8));
    const dmin = halfToFloat(src[at + 2]! | (src[at + 3]! << 8));
    unpackKScales(src, at + 4, steps);
    for (let sub = 0; sub < 8; sub++) {
      const block = superBlock * 8 + sub;
      const scale = floatToHalf(d * steps[sub]!);
      const min = floatToHalf(-dmin * steps[sub + 8]!);
      if (isHalfNonFinite(scale) || isHalfNonFinite(min)) nonFinite++;
      scales[block] = scale | (min << 16);
      packNibblePlane(src, at + 16 + (sub >> 1) * 32, (sub & 1) * 4, quants, block * 4);
    }
  }
  return nonFinite;
}

/** 16 bytes with elements j (low nibble) and j + 16 (high) to a block's four words. */
function packSplitNibbles(src: Uint8Array, from: number, quants: Uint32Array, to: number): void {
  for (let c = 0; c < 4; c++) {
    const a = src[from + c]!;
    const b = src[from + c + 4]!;
    const d = src[from + c + 8]!;
    const e = src[from + c + 12]!;
    quants[to + c] =
      (a & 15) |
      ((b & 15) << 4) |
      ((d & 15) << 8) |
      ((e & 15) << 12) |
      ((a >> 4) << 16) |
      ((b >> 4) << 20) |
      ((d >> 4) << 24) |
      ((e >> 4) << 28);
  }
}

/** The nibbles at bit `shift` of 32 bytes, elements in order, to a block's four words. */
function packNibblePlane(
  src: Uint8Array,
  from: number,
  shift: number,
  quants: Uint32Array,
  to: number,
): void {
  for (let c = 0; c < 4; c++) {
    let word = 0;
    for (let i = 7; i >= 0; i--) word = (word << 4) | ((src[from + 4 * i + c]! >> shift) & 15);
    quants[to + c] = word;
  }
}
