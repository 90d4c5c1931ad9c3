import type { KvDtype } from "../../src/cache/layout.ts";
import { floatToHalf, halfToFloat } from "../../src/formats/half.ts";

/** The numbers that a cache of this type holds when `data` is stored in it. */
export function asStored(data: Float32Array, dtype: KvDtype): Float32Array<ArrayBuffer> {
  const stored = Float32Array.from(data);
  return dtype === "f32" ? stored : stored.map((x) => halfToFloat(floatToHalf(x)));
}

/** Cache rows as the kernels read them. */
export function packRows(data: Float32Array, dtype: KvDtype): Uint32Array<ArrayBuffer> {
  if (dtype === "f32") return new Uint32Array(Float32Array.from(data).buffer);
  return new Uint32Array(Uint16Array.from(data, floatToHalf).buffer);
}

/** Cache rows as numbers. */
export function unpackRows(words: Uint32Array<ArrayBuffer>, dtype: KvDtype): Float32Array {
  if (dtype === "f32") return new Float32Array(words.buffer);
  return Float32Array.from(new Uint16Array(words.buffer), halfToFloat);
}
