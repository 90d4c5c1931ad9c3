import { commonLayout } from "../formats/common-layout.ts";
import { type PlanarLayout, tensorLayout } from "../formats/planar.ts";
import { groupedBytes } from "../formats/row-groups.ts";
import type { TensorInfo } from "../formats/tensor-types.ts";
import type { TensorFile } from "../formats/tensor-types.ts";
import { architectureOf, type ModelConfig } from "./config.ts";
import type { LinearUse } from "./linear.ts";
import { ROPE_FACTORS } from "./model-tensors.ts";

/** What a file's tensors ask for, by role. */
export interface ModelLayouts {
  readonly linear: readonly LinearUse[];
  readonly embedding: readonly PlanarLayout[];
  /** How many weights the file has. */
  readonly weights: number;
}

/**
 * The kinds of linear layers that a file's tensors ask for, so that their kernels compile while the
 * weights still stream.
 */
export function modelLayouts(file: TensorFile, config: ModelConfig): ModelLayouts {
  const layouts = (...parts: readonly string[]): PlanarLayout[] =>
    distinct(
      [...file.tensors.keys()]
        .filter((name) => parts.some((part) => name === part || name.endsWith(`.${part}`)))
        .map((name) => matrixLayout(file, name)),
    );
  const plain = { norm: false, bias: false, residual: false, gated: false, tokens: "any" } as const;
  const bias = architectureOf(config).qkvBias;
  const head = file.tensors.has("output.weight") ? "output.weight" : "token_embd.weight";
  const qkv = layouts("attn_q.weight", "attn_k.weight", "attn_v.weight");
  const linear = [
    { ...plain, layouts: qkv, norm: true, bias },
    { ...plain, layouts: layouts("attn_output.weight", "ffn_down.weight"), residual: true },
    { ...plain, layouts: layouts("ffn_gate.weight"), norm: true, gated: true },
    { ...plain, layouts: layouts(head), norm: true },
  ];
  const sizes = [...file.tensors.values()].map(({ shape }) => shape.reduce((a, b) => a * b, 1));
  const weights = sizes.reduce((a, b) => a + b, 0);
  return { linear, embedding: layouts("token_embd.weight"), weights };
}

/**
 * The layout that a matrix has on the GPU. Gate and up rows share one: see `interleavedRows`.
 * @param name its key in `file.tensors`.
 */
export function matrixLayout({ tensors }: TensorFile, name: string): PlanarLayout {
  const info = tensors.get(name) as TensorInfo;
  const [, layer, part] = /^(.*\.ffn_)(gate|up)\.weight$/.exec(name) ?? [];
  const partner = tensors.get(`${layer}${part === "gate" ? "up" : "gate"}.weight`);
  const own = tensorLayout(info);
  return partner === undefined ? own : commonLayout(own, tensorLayout(partner));
}

/** GPU bytes of a tensor, by its key in `file.tensors`: a matrix in its layout, a vector as f32. */
export function tensorGpuBytes(file: TensorFile, name: string): number {
  if (name === ROPE_FACTORS) return 0;
  const [rows = 0, cols] = (file.tensors.get(name) as TensorInfo).shape;
  if (cols === undefined) return 4 * rows;
  const { quantBytes, scaleBytes } = groupedBytes(matrixLayout(file, name), rows, cols);
  return quantBytes + scaleBytes;
}

/** GPU bytes of all weights of a file. */
export function fileWeightBytes(file: TensorFile): number {
  return [...file.tensors.keys()].reduce((sum, name) => sum + tensorGpuBytes(file, name), 0);
}

function distinct(layouts: readonly PlanarLayout[]): PlanarLayout[] {
  return [...new Map(layouts.map((layout) => [JSON.stringify(layout), layout])).values()];
}
