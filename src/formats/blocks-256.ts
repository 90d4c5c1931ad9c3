import { halfToFloat } from "./half.ts";
import { unpackKScales } from "./k-scales.ts";

// The 256-element blocks of GGUF: sub-blocks with small integer scales under one f16 scale.

const BLOCK = 256;
const SUB_BLOCK = 32;

/**
 * Q4_K: d, dmin, 12 bytes of scales and minimums, 128 bytes of nibbles (byte l of the k-th 32 bytes: element l of
 * sub-block 2k low, of sub-block 2k + 1 high); w = (d scale) q - dmin minimum.
 */
export function dequantizeQ4K(bytes: Uint8Array, out: Float32Array): void {
  const scales = new Uint8Array(16);
  for (let block = 0, at = 0; block < out.length; block += BLOCK, at += 144) {
    const d = halfAt(bytes, at);
    const dmin = halfAt(bytes, at + 2);
    unpackKScales(bytes, at + 4, scales);
    for (let sub = 0; sub < 8; sub++) {
      const scale = d * scales[sub]!;
      const minimum = dmin * scales[sub + 8]!;
      const nibbles = at + 16 + (sub >> 1) * SUB_BLOCK;
      for (let l = 0; l < SUB_BLOCK; l++) {
        const q = (bytes[nibbles + l]! >> ((sub & 1) * 4)) & 15;
        out[block + sub * SUB_BLOCK + l] = scale * q - minimum;
      }
    }
  }
}

/** Q5_K: as Q4_K, with 32 bytes of fifth bits before the nibbles (bit `sub` of byte l: element l of that sub-block). */
export function dequantizeQ5K(bytes: Uint8Array, out: Float32Array): void {
  const scales = new Uint8Array(16);
  for (let block = 0, at = 0; block < out.length; block += BLOCK, at += 176) {
    const d = halfAt(bytes, at);
    const dmin = halfAt(bytes, at + 2);
    unpackKScales(bytes, at + 4, scales);
    for (let sub = 0; sub < 8; sub++) {
      const scale = d * scales[sub]!;
      const minimum = dmin * scales[sub + 8]!;
      const nibbles = at + 48 + (sub >> 1) * SUB_BLOCK;
      for (let l = 0; l < SUB_BLOCK; l++) {
        const low = (bytes[nibbles + l]! >> ((sub & 1) * 4)) & 15;
        const fifth = (bytes[at + 16 + l]! >> sub) & 1;
        out[block + sub * SUB_BLOCK + l] = scale * (low | (fifth << 4)) - minimum;
      }
    }
  }
}

/**
 * Q6_K: 128 bytes of low nibbles, 64 bytes of upper bit pairs, 16 signed scales, d; w = (d scale) (q - 32), one scale
 * for 16 elements. Each half of a block has four quarters of 32 elements: quarter k takes its nibbles from the half's
 * bytes 32 (k mod 2) + l, low for k < 2 and high for the others, and bits 2k of the half's pair byte l.
 */
export function dequantizeQ6K(bytes: Uint8Array, out: Float32Array): void {
  for (let block = 0, at = 0; block < out.length; block += BLOCK, at += 210) {
    const d = halfAt(bytes, at + 208);
    for (let i = 0; i < BLOCK; i++) {
      const half = i >> 7;
      const quarter = (i >> 5) & 3;
      const l = i & 31;
      const nibbles = bytes[at + half * 64 + (quarter & 1) * 32 + l]!;
      const pairs = bytes[at + 128 + half * 32 + l]!;
      const q = ((nibbles >> ((quarter >> 1) * 4)) & 15) | (((pairs >> (quarter * 2)) & 3) << 4);
      const scale = (bytes[at + 192 + (i >> 4)]! << 24) >> 24;
      out[block + i] = d * scale * (q - 32);
    }
  }
}

function halfAt(bytes: Uint8Array, at: number): number {
  return halfToFloat(bytes[at]! | (bytes[at + 1]! << 8));
}
