import { dequantizeQ4_0, dequantizeQ4_1, dequantizeQ5_0, dequantizeQ5_1 } from "./blocks-32.ts";
import { dequantizeQ8_0 } from "./blocks-32.ts";
import { dequantizeQ4K, dequantizeQ5K, dequantizeQ6K } from "./blocks-256.ts";
import { halfToFloat } from "./half.ts";
import { tensorBytes, type TensorType } from "./tensor-types.ts";

/** Fills `out` with the values of whole blocks at the start of `bytes`. */
export type BlockDecoder = (bytes: Uint8Array, out: Float32Array) => void;

const DECODERS: Readonly<Record<TensorType, BlockDecoder>> = {
  F32: dequantizeF32,
  F16: dequantizeF16,
  BF16: dequantizeBf16,
  Q4_0: dequantizeQ4_0,
  Q4_1: dequantizeQ4_1,
  Q5_0: dequantizeQ5_0,
  Q5_1: dequantizeQ5_1,
  Q8_0: dequantizeQ8_0,
  Q4_K: dequantizeQ4K,
  Q5_K: dequantizeQ5K,
  Q6_K: dequantizeQ6K,
};

/**
 * The values of `count` elements (whole blocks) stored as `type` in `bytes`: naive, and bit-equal to the Python
 * package `gguf`. For norms and biases, and as the yardstick of the repackers.
 */
export function dequantize(type: TensorType, bytes: Uint8Array, count: number): Float32Array {
  if (bytes.length !== tensorBytes(type, count)) {
    throw new Error(`${count} elements of ${type} do not take ${bytes.length} bytes`);
  }
  const out = new Float32Array(count);
  DECODERS[type](bytes, out);
  return out;
}

function dequantizeF32(bytes: Uint8Array, out: Float32Array): void {
  new Uint8Array(out.buffer).set(bytes);
}

function dequantizeF16(bytes: Uint8Array, out: Float32Array): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let i = 0; i < out.length; i++) out[i] = halfToFloat(view.getUint16(i * 2, true));
}

/** A bfloat16 is the upper half of a single. */
function dequantizeBf16(bytes: Uint8Array, out: Float32Array): void {
  const bits = new Uint32Array(out.buffer);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let i = 0; i < out.length; i++) bits[i] = view.getUint16(i * 2, true) << 16;
}
