import { COLUMN_MULTIPLE } from "../formats/planar.ts";
import type { QuantizedWeights, TensorFile, TensorInfo } from "../formats/tensor-types.ts";

/** Matrices that lose most: they stay at 8 bits, as llama.cpp's mixed files have them. */
const EIGHT_BITS: ReadonlySet<string> = new Set(["token_embd.weight", "output.weight"]);

/** Most bytes of the file that are quantised at a time. */
export const QUANTIZE_CHUNK_BYTES: number = 2 * 1024 * 1024;

/** Bytes on the GPU that quantising a file takes while it lasts. */
export function quantizingBytes({ tensors }: TensorFile): number {
  const sizes = [...tensors.values()].map(({ quantize, bytes }) => (quantize ? bytes : 0));
  return Math.min(Math.max(...sizes), QUANTIZE_CHUNK_BYTES);
}

const FLOATS: readonly string[] = ["F32", "F16", "BF16"];

/**
 * The file with its matrices of floats marked to be quantised while they load. What is quantised already, vectors, and
 * gate and up projections of which only one is of floats, stay as they are.
 */
export function quantizeOnLoad(file: TensorFile, weights: QuantizedWeights): TensorFile {
  const isFloat = (info: TensorInfo | undefined): boolean =>
    info !== undefined &&
    FLOATS.includes(info.type) &&
    info.shape.length === 2 &&
    info.bytes / (info.shape[0] as number) <= QUANTIZE_CHUNK_BYTES &&
    (info.shape[1] as number) % COLUMN_MULTIPLE === 0;
  const partnerOf = (name: string): string =>
    name.includes(".ffn_gate.")
      ? name.replace(".ffn_gate.", ".ffn_up.")
      : name.replace(".ffn_up.", ".ffn_gate.");
  const tensors = new Map<string, TensorInfo>();
  for (const [name, info] of file.tensors) {
    const fits = isFloat(info) && isFloat(file.tensors.get(partnerOf(name)));
    const quantize = EIGHT_BITS.has(name) ? "q8" : weights;
    tensors.set(name, fits ? { ...info, quantize } : info);
  }
  return { name: file.name, tensors };
}
