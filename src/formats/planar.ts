import { repackHalf } from "./repack-f16.ts";
import { repackQ4 } from "./repack-q4.ts";
import { repackQ8 } from "./repack-q8.ts";
import type { QuantizedWeights, TensorInfo, TensorType } from "./tensor-types.ts";

/**
 * How a matrix lies on the GPU: a plane of quants and a plane of scales, both row-major, in 32-bit words.
 *
 * - `q4`: blocks of 32. Four words per block; bits 4i of word c hold element 4i + c. One scale word per block: f16
 *   scale (low half), f16 minimum. w = scale q + minimum.
 * - `q8`: blocks of 32 or 16. Four words per 16 elements; byte p of word c holds element 4p + c. With a minimum, one
 *   scale word per block as in q4, w = scale q + minimum; else one f16 scale per block, two blocks to a word (the
 *   even block of the row-major sequence in the low half), w = scale (q - 128).
 * - `f16`: two elements per word, the even one in the low half; no scales.
 */
export interface PlanarLayout {
  readonly kind: "q4" | "q8" | "f16";
  /** Elements that share a scale; 1 for f16, which has none. */
  readonly blockSize: number;
  readonly hasMin: boolean;
  /** True where repacking rounds: products of scales, or values, to f16. */
  readonly lossy: boolean;
}

/** Where `repackRows` writes: at least `planarBytes` of each, as 32-bit words. */
export interface Planes {
  readonly quants: Uint32Array;
  readonly scales: Uint32Array;
}

const LAYOUTS: Readonly<Record<TensorType, PlanarLayout>> = {
  F32: { kind: "f16", blockSize: 1, hasMin: false, lossy: true },
  F16: { kind: "f16", blockSize: 1, hasMin: false, lossy: false },
  BF16: { kind: "f16", blockSize: 1, hasMin: false, lossy: true },
  Q4_0: { kind: "q4", blockSize: 32, hasMin: true, lossy: false },
  Q4_1: { kind: "q4", blockSize: 32, hasMin: true, lossy: false },
  Q5_0: { kind: "q8", blockSize: 32, hasMin: false, lossy: false },
  Q5_1: { kind: "q8", blockSize: 32, hasMin: true, lossy: false },
  Q8_0: { kind: "q8", blockSize: 32, hasMin: false, lossy: false },
  Q4_K: { kind: "q4", blockSize: 32, hasMin: true, lossy: true },
  Q5_K: { kind: "q8", blockSize: 32, hasMin: true, lossy: true },
  Q6_K: { kind: "q8", blockSize: 16, hasMin: false, lossy: true },
};

const QUANTIZED: Readonly<Record<QuantizedWeights, PlanarLayout>> = {
  q4: { kind: "q4", blockSize: 32, hasMin: true, lossy: true },
  q8: { kind: "q8", blockSize: 32, hasMin: false, lossy: true },
};

/** The layout that a matrix of a file gets: that of its type, or what its floats are quantised to. */
export function tensorLayout({ type, quantize }: TensorInfo): PlanarLayout {
  return quantize === undefined ? LAYOUTS[type] : QUANTIZED[quantize];
}

/** Columns of a planar matrix are whole multiples of this. */
export const COLUMN_MULTIPLE = 32;

/** The layout that matrices of a type are repacked to. */
export function planarLayout(type: TensorType): PlanarLayout {
  return LAYOUTS[type];
}

/**
 * Bytes of both planes of a `[rows, cols]` matrix (`cols` a multiple of 32). Also the place of row `rows` in a larger
 * matrix, where `rows` is even.
 */
export function planarBytes(
  layout: PlanarLayout,
  rows: number,
  cols: number,
): { readonly quantBytes: number; readonly scaleBytes: number } {
  const elements = rows * cols;
  if (layout.kind === "f16") return { quantBytes: elements * 2, scaleBytes: 0 };
  const blocks = elements / layout.blockSize;
  return {
    quantBytes: layout.kind === "q4" ? elements / 2 : elements,
    scaleBytes: layout.hasMin ? blocks * 4 : Math.ceil(blocks / 2) * 4,
  };
}

/**
 * Repacks whole rows of a matrix.
 *
 * @param src the `rows * cols` elements, as the file has them; `cols` is a multiple of 32 and of the type's block.
 * @returns how many scales or values are not finite in f16: any means a damaged or unusable tensor.
 */
export function repackRows(
  type: TensorType,
  src: Uint8Array,
  rows: number,
  cols: number,
  out: Planes,
): number {
  const elements = rows * cols;
  switch (type) {
    case "F32":
    case "F16":
    case "BF16":
      return repackHalf(type, src, elements, out);
    case "Q4_0":
    case "Q4_1":
    case "Q4_K":
      return repackQ4(type, src, elements, out);
    default:
      return repackQ8(type, src, elements, out);
  }
}
