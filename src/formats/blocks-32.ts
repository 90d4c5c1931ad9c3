import { halfToFloat } from "./half.ts";

// The 32-element blocks of GGUF. d and m are f16 scale and minimum; byte j of a block's nibbles holds element j (low)
// and element j + 16 (high); a fifth bit comes from a u32 with bit j for element j.

const BLOCK = 32;
const HALF_BLOCK = 16;

/** Q4_0: d, 16 bytes of nibbles; w = d (q - 8). */
export function dequantizeQ4_0(bytes: Uint8Array, out: Float32Array): void {
  const view = viewOf(bytes);
  for (let block = 0, at = 0; block < out.length; block += BLOCK, at += 18) {
    const d = halfToFloat(view.getUint16(at, true));
    for (let j = 0; j < HALF_BLOCK; j++) {
      const pair = view.getUint8(at + 2 + j);
      out[block + j] = d * ((pair & 15) - 8);
      out[block + j + HALF_BLOCK] = d * ((pair >> 4) - 8);
    }
  }
}

/** Q4_1: d, m, 16 bytes of nibbles; w = d q + m. */
export function dequantizeQ4_1(bytes: Uint8Array, out: Float32Array): void {
  const view = viewOf(bytes);
  for (let block = 0, at = 0; block < out.length; block += BLOCK, at += 20) {
    const d = halfToFloat(view.getUint16(at, true));
    const m = halfToFloat(view.getUint16(at + 2, true));
    for (let j = 0; j < HALF_BLOCK; j++) {
      const pair = view.getUint8(at + 4 + j);
      out[block + j] = d * (pair & 15) + m;
      out[block + j + HALF_BLOCK] = d * (pair >> 4) + m;
    }
  }
}

/** Q5_0: d, u32 of fifth bits, 16 bytes of nibbles; w = d (q - 16). */
export function dequantizeQ5_0(bytes: Uint8Array, out: Float32Array): void {
  const view = viewOf(bytes);
  for (let block = 0, at = 0; block < out.length; block += BLOCK, at += 22) {
    const d = halfToFloat(view.getUint16(at, true));
    const fifth = view.getUint32(at + 2, true);
    for (let j = 0; j < HALF_BLOCK; j++) {
      const pair = view.getUint8(at + 6 + j);
      out[block + j] = d * (((pair & 15) | (((fifth >>> j) & 1) << 4)) - 16);
      const upper = (pair >> 4) | (((fifth >>> (j + HALF_BLOCK)) & 1) << 4);
      out[block + j + HALF_BLOCK] = d * (upper - 16);
    }
  }
}

/** Q5_1: d, m, u32 of fifth bits, 16 bytes of nibbles; w = d q + m. */
export function dequantizeQ5_1(bytes: Uint8Array, out: Float32Array): void {
  const view = viewOf(bytes);
  for (let block = 0, at = 0; block < out.length; block += BLOCK, at += 24) {
    const d = halfToFloat(view.getUint16(at, true));
    const m = halfToFloat(view.getUint16(at + 2, true));
    const fifth = view.getUint32(at + 4, true);
    for (let j = 0; j < HALF_BLOCK; j++) {
      const pair = view.getUint8(at + 8 + j);
      out[block + j] = d * ((pair & 15) | (((fifth >>> j) & 1) << 4)) + m;
      const upper = (pair >> 4) | (((fifth >>> (j + HALF_BLOCK)) & 1) << 4);
      out[block + j + HALF_BLOCK] = d * upper + m;
    }
  }
}

/** Q8_0: d, 32 signed bytes; w = d q. */
export function dequantizeQ8_0(bytes: Uint8Array, out: Float32Array): void {
  const view = viewOf(bytes);
  for (let block = 0, at = 0; block < out.length; block += BLOCK, at += 34) {
    const d = halfToFloat(view.getUint16(at, true));
    for (let j = 0; j < BLOCK; j++) out[block + j] = d * view.getInt8(at + 2 + j);
  }
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}
