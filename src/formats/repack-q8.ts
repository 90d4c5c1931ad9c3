import { floatToHalf, halfToFloat, isHalfNonFinite } from "./half.ts";
import { unpackKScales } from "./k-scales.ts";
import type { Planes } from "./planar.ts";

/** Flips the sign bit of four signed bytes: value + 128. */
const SIGNED = 0x80808080;
const UNSIGNED = 0;

/**
 * Repacks Q8_0, Q5_0, Q5_1 (exactly), Q5_K and Q6_K (products of scales rounded to f16) to the q8 layout.
 *
 * @returns how many scales or minimums are not finite.
 */
export function repackQ8(
  type: "Q8_0" | "Q5_0" | "Q5_1" | "Q5_K" | "Q6_K",
  src: Uint8Array,
  elements: number,
  out: Planes,
): number {
  switch (type) {
    case "Q8_0":
      return repackQ8_0(src, elements / 32, out);
    case "Q5_0":
      return repackQ5_0(src, elements / 32, out);
    case "Q5_1":
      return repackQ5_1(src, elements / 32, out);
    case "Q5_K":
      return repackQ5K(src, elements / 256, out);
    case "Q6_K":
      return repackQ6K(src, elements / 256, out);
  }
}

function repackQ8_0(src: Uint8Array, blocks: number, out: Planes): number {
  const scales = scaleHalves(out, blocks);
  let nonFinite = 0;
  for (let block = 0, at = 0; block < blocks; block++, at += 34) {
    const d = src[at]! | (src[at + 1]! << 8);
    if (isHalfNonFinite(d)) nonFinite++;
    scales[block] = d;
    packBytes(src, at + 2, 32, SIGNED, out.quants, block * 8);
  }
  return nonFinite;
}

/** q - 16 is stored as q - 16 + 128. */
function repackQ5_0(src: Uint8Array, blocks: number, out: Planes): number {
  const scales = scaleHalves(out, blocks);
  const values = new Uint8Array(32);
  let nonFinite = 0;
  for (let block = 0, at = 0; block < blocks; block++, at += 22) {
    const d = src[at]! | (src[at + 1]! << 8);
    if (isHalfNonFinite(d)) nonFinite++;
    scales[block] = d;
    unpackFive(src, at + 2, 112, values);
    packBytes(values, 0, 32, UNSIGNED, out.quants, block * 8);
  }
  return nonFinite;
}

function repackQ5_1(src: Uint8Array, blocks: number, { quants, scales }: Planes): number {
  const values = new Uint8Array(32);
  let nonFinite = 0;
  for (let block = 0, at = 0; block < blocks; block++, at += 24) {
    const d = src[at]! | (src[at + 1]! << 8);
    const min = src[at + 2]! | (src[at + 3]! << 8);
    if (isHalfNonFinite(d) || isHalfNonFinite(min)) nonFinite++;
    scales[block] = d | (min << 16);
    unpackFive(src, at + 4, 0, values);
    packBytes(values, 0, 32, UNSIGNED, quants, block * 8);
  }
  return nonFinite;
}

function repackQ5K(src: Uint8Array, superBlocks: number, { quants, scales }: Planes): number {
  const steps = new Uint8Array(16);
  const values = new Uint8Array(32);
  let nonFinite = 0;
  for (let superBlock = 0, at = 0; superBlock < superBlocks; superBlock++, at += 176) {
    const d = halfToFloat(src[at]! | (src[at + 1]! << 8));
    const dmin = halfToFloat(src[at + 2]! | (src[at + 3]! << 8));
    unpackKScales(src, at + 4, steps);
    for (let sub = 0; sub < 8; sub++) {
      const block = superBlock * 8 + sub;
      const scale = floatToHalf(d * steps[sub]!);
      const min = floatToHalf(-dmin * steps[sub + 8]!);
      if (isHalfNonFinite(scale) || isHalfNonFinite(min)) nonFinite++;
      scales[block] = scale | (min << 16);
      const nibbles = at + 48 + (sub >> 1) * 32;
      const shift = (sub & 1) * 4;
      for (let l = 0; l < 32; l++) {
        const low = (src[nibbles + l]! >> shift) & 15;
        values[l] = low | (((src[at + 16 + l]! >> sub) & 1) << 4);
      }
      packBytes(values, 0, 32, UNSIGNED, quants, block * 8);
    }
  }
  return nonFinite;
}

/** q - 32 is stored as q - 32 + 128; blocks of 16. */
function repackQ6K(src: Uint8Array, superBlocks: number, out: Planes): number {
  const scales = scaleHalves(out, superBlocks * 16);
  const values = new Uint8Array(256);
  let nonFinite = 0;
  for (let superBlock = 0, at = 0; superBlock < superBlocks; superBlock++, at += 210) {
    const d = halfToFloat(src[at + 208]! | (src[at + 209]! << 8));
    for (let block = 0; block < 16; block++) {
      const scale = floatToHalf(d * ((src[at + 192 + block]! << 24) >> 24));
      if (isHalfNonFinite(scale)) nonFinite++;
      scales[superBlock * 16 + block] = scale;
    }
    for (let half = 0; half < 2; half++) {
      const nibbles = at + half * 64;
      const pairs = at + 128 + half * 32;
      for (let l = 0; l < 32; l++) {
        const a = src[nibbles + l]!;
        const b = src[nibbles + 32 + l]!;
        const top = src[pairs + l]!;
        const to = half * 128 + l;
        values[to] = ((a & 15) | ((top & 3) << 4)) + 96;
        values[to + 32] = ((b & 15) | (((top >> 2) & 3) << 4)) + 96;
        values[to + 64] = ((a >> 4) | (((top >> 4) & 3) << 4)) + 96;
        values[to + 96] = ((b >> 4) | ((top >> 6) << 4)) + 96;
      }
    }
    packBytes(values, 0, 256, UNSIGNED, out.quants, superBlock * 64);
  }
  return nonFinite;
}

/** The scale plane as f16 (hosts of WebGPU are little endian: even blocks are low halves), its padding cleared. */
function scaleHalves({ scales }: Planes, blocks: number): Uint16Array {
  const halves = new Uint16Array(scales.buffer, scales.byteOffset, Math.ceil(blocks / 2) * 2);
  if (blocks % 2 === 1) halves[blocks] = 0;
  return halves;
}

/** 32 five-bit numbers from a u32 of fifth bits and 16 bytes of nibbles, each plus `bias`. */
function unpackFive(src: Uint8Array, at: number, bias: number, values: Uint8Array): void {
  for (let j = 0; j < 16; j++) {
    const pair = src[at + 4 + j]!;
    const shift = j & 7;
    const low = (src[at + (j >> 3)]! >> shift) & 1;
    const high = (src[at + 2 + (j >> 3)]! >> shift) & 1;
    values[j] = ((pair & 15) | (low << 4)) + bias;
    values[j + 16] = ((pair >> 4) | (high << 4)) + bias;
  }
}

/** Bytes in order to words of the q8 layout, four for each 16. */
function packBytes(
  src: Uint8Array,
  from: number,
  count: number,
  flip: number,
  quants: Uint32Array,
  to: number,
): void {
  for (let run = 0; run < count; run += 16) {
    for (let c = 0; c < 4; c++) {
      const at = from + run + c;
      quants[to + (run >> 2) + c] =
        (src[at]! | (src[at + 4]! << 8) | (src[at + 8]! << 16) | (src[at + 12]! << 24)) ^ flip;
    }
  }
}
