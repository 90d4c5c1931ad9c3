import { type TensorInfo } from "../../src/formats/gguf.ts";
import { planarBytes, type PlanarLayout } from "../../src/formats/planar.ts";
import { tensorBytes, type TensorType } from "../../src/formats/tensor-types.ts";
import { type PlanarMatrix } from "../reference/planar.ts";

/** Planes filled with rubbish, so that a word left unwritten shows. */
export function rubbishPlanes(layout: PlanarLayout, rows: number, cols: number): PlanarMatrix {
  const { quantBytes, scaleBytes } = planarBytes(layout, rows, cols);
  return {
    layout,
    rows,
    cols,
    quants: new Uint32Array(quantBytes / 4).fill(0xdeadbeef),
    scales: new Uint32Array(scaleBytes / 4).fill(0xdeadbeef),
  };
}

/** A table entry for a tensor of that type and shape. */
export function infoOf(type: TensorType, shape: readonly number[], offset = 0): TensorInfo {
  const elements = shape.reduce((product, size) => product * size, 1);
  return { name: "blk.0.w", type, shape, offset, bytes: tensorBytes(type, elements) };
}
