import { floatToHalf, halfToFloat } from "../../src/formats/half.ts";
import { type PlanarLayout, planarBytes } from "../../src/formats/planar.ts";
import type { Random } from "../random.ts";

/** A matrix in a planar GPU layout, on the CPU. */
export interface PlanarMatrix {
  readonly layout: PlanarLayout;
  readonly rows: number;
  readonly cols: number;
  readonly quants: Uint32Array<ArrayBuffer>;
  readonly scales: Uint32Array<ArrayBuffer>;
}

/** The layouts that files become, by a short name. */
export const PLANAR_LAYOUTS = {
  q4: { kind: "q4", blockSize: 32, hasMin: true, lossy: false },
  q8: { kind: "q8", blockSize: 32, hasMin: false, lossy: false },
  "q8 with min": { kind: "q8", blockSize: 32, hasMin: true, lossy: false },
  "q8 of 16": { kind: "q8", blockSize: 16, hasMin: false, lossy: true },
  f16: { kind: "f16", blockSize: 1, hasMin: false, lossy: false },
} as const satisfies Record<string, PlanarLayout>;

/** A matrix of random quants; its weights are about normal with standard deviation 0.1. */
export function randomPlanar(
  random: Random,
  layout: PlanarLayout,
  rows: number,
  cols: number,
): PlanarMatrix {
  const { quantBytes, scaleBytes } = planarBytes(layout, rows, cols);
  const scales = new Uint32Array(scaleBytes / 4);
  const half = (value: number): number => floatToHalf(value);
  if (layout.kind === "f16") {
    const quants = Uint32Array.from(
      { length: quantBytes / 4 },
      () => half(random.normal() * 0.1) | (half(random.normal() * 0.1) << 16),
    );
    return { layout, rows, cols, quants, scales };
  }
  const quants = random.integers(quantBytes / 4, 2 ** 32);
  const levels = layout.kind === "q4" ? 16 : 256;
  for (let i = 0; i < scales.length; i++) {
    const scale = random.uniform(0.2, 0.6) / levels;
    const other = layout.hasMin
      ? -scale * random.uniform(0.4, 0.6) * levels
      : random.uniform(0.2, 0.6) / levels;
    scales[i] = half(scale) | (half(other) << 16);
  }
  return { layout, rows, cols, quants, scales };
}

/** All weights of a planar matrix, `[rows][cols]`; each exactly as the formula says, rounded to f32 once. */
export function dequantise(matrix: PlanarMatrix): Float32Array<ArrayBuffer> {
  const weights = new Float32Array(matrix.rows * matrix.cols);
  for (let i = 0; i < weights.length; i++) weights[i] = weightAt(matrix, i);
  return weights;
}

/** Element `i` of the row-major sequence. */
function weightAt({ layout, quants, scales }: PlanarMatrix, i: number): number {
  if (layout.kind === "f16") return halfAt(quants, i);
  const block = Math.floor(i / layout.blockSize);
  if (layout.kind === "q4") {
    const e = i % 32; // bits 4i of word c hold element 4i + c
    const nibble = (quants[block * 4 + (e % 4)] >>> (4 * Math.floor(e / 4))) & 15;
    return halfAt(scales, 2 * block) * nibble + halfAt(scales, 2 * block + 1);
  }
  const e = i % 16; // byte p of word c holds element 4p + c
  const byte = (quants[Math.floor(i / 16) * 4 + (e % 4)] >>> (8 * Math.floor(e / 4))) & 255;
  if (layout.hasMin) return halfAt(scales, 2 * block) * byte + halfAt(scales, 2 * block + 1);
  return halfAt(scales, block) * (byte - 128);
}

function halfAt(words: Uint32Array, i: number): number {
  return halfToFloat((words[i >> 1] >>> (16 * (i & 1))) & 0xffff);
}
