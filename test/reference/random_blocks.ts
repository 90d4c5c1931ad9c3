import { floatToHalf } from "../../src/formats/half.ts";
import { BLOCK_SHAPES, tensorBytes, type TensorType } from "../../src/formats/tensor-types.ts";
import { type Random } from "../random.ts";

/** Byte offsets of the f16 scales in a block; all other bytes may hold anything. */
const SCALE_OFFSETS: Partial<Record<TensorType, readonly number[]>> = {
  Q4_0: [0],
  Q4_1: [0, 2],
  Q5_0: [0],
  Q5_1: [0, 2],
  Q8_0: [0],
  Q4_K: [0, 2],
  Q5_K: [0, 2],
  Q6_K: [208],
};

/**
 * The bytes of `elements` random elements of a type (whole blocks): any quants, scales uniform in
 * `[-scale, scale)`; for the float types, the elements are.
 */
export function randomBlocks(
  type: TensorType,
  elements: number,
  random: Random,
  scale = 0.01,
): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(tensorBytes(type, elements));
  const view = new DataView(bytes.buffer);
  const block = BLOCK_SHAPES[type].bytes;
  const offsets = SCALE_OFFSETS[type];
  for (let at = 0; at < bytes.length; at += block) {
    const value = random.uniform(-scale, scale);
    if (type === "F32") view.setFloat32(at, value, true);
    else if (type === "F16") view.setUint16(at, floatToHalf(value), true);
    else if (type === "BF16") view.setUint16(at, upperHalfOfFloat(value), true);
    else {
      for (let i = 0; i < block; i++) bytes[at + i] = random.integer(256);
      for (const offset of offsets ?? []) {
        view.setUint16(at + offset, floatToHalf(random.uniform(-scale, scale)), true);
      }
    }
  }
  return bytes;
}

function upperHalfOfFloat(value: number): number {
  return new Uint32Array(Float32Array.of(value).buffer)[0] >>> 16;
}
