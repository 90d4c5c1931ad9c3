import type { PlanarLayout } from "../formats/planar.ts";
import { ROW_GROUP } from "../formats/row-groups.ts";
import type { KernelSpec } from "../gpu/kernel.ts";
import type { Workgroups } from "../gpu/recorder.ts";

/** What a linear layer does beside the product; decides the kernel's flags. */
export interface LinearForm {
  /** RMSNorm of x, fused. */
  readonly norm?: boolean;
  readonly bias?: boolean;
  /** Add to y instead of overwriting it. */
  readonly residual?: boolean;
  /** Rows 2i (gate) and 2i + 1 (up) give silu(gate) * up. */
  readonly gated?: boolean;
}

/** Subgroup size that x is broadcast in; 0: each thread loads x itself. */
export type BroadcastSize = 0 | 4 | 8;

/** One token, a thread per row or rows: for CPU adapters. */
export interface MatvecRows {
  readonly kernel: "matvec_rows";
  /** Rows of a thread; even. */
  readonly rows: number;
  readonly broadcast: BroadcastSize;
  readonly workgroupSize: number;
}

/** One token, several threads per row: for GPUs. */
export interface MatvecLanes {
  readonly kernel: "matvec_lanes";
  /** Groups of 8 rows of a workgroup: rows that a thread has a share of. */
  readonly groups: number;
  /** Threads that share a row; a multiple of 4, up to 32. */
  readonly lanes: number;
  readonly subgroups: boolean;
}

/** Many tokens, rows x tokens in the registers of a thread: for CPU adapters. */
export interface MatmulRows {
  readonly kernel: "matmul_rows";
  /** Rows of a thread; even. */
  readonly rows: number;
  /** Tokens of a thread. */
  readonly tokens: number;
  readonly broadcast: BroadcastSize;
  readonly workgroupSize: number;
}

/** Many tokens, tiles staged in workgroup memory: for GPUs. */
export interface MatmulTile {
  readonly kernel: "matmul_tile";
  /** Rows, and tokens, of a workgroup. */
  readonly tile: 64 | 128;
  /** A thread computes 4 quads x 4 quads. */
  readonly quads: 1 | 2;
  /** Columns staged at a time; tile * step * 8 bytes of workgroup memory. */
  readonly step: 16 | 32;
}

export type MatvecVariant = MatvecRows | MatvecLanes;
export type MatmulVariant = MatmulRows | MatmulTile;
export type LinearVariant = MatvecVariant | MatmulVariant;

const MAX_GRID = 65535;

/** The kernel for a variant, a layout of weights and a form. */
export function linearKernelSpec(
  variant: LinearVariant,
  layout: PlanarLayout,
  form: LinearForm,
): KernelSpec {
  const { flags, sizes } = flagsAndSizes(variant);
  for (const [on, flag] of [
    [form.norm, "NORM"],
    [form.bias, "BIAS"],
    [form.residual, "RESIDUAL"],
    [form.gated, "GATED"],
  ] as const) {
    if (on) flags.push(flag);
  }
  const weights = weightVariant(layout);
  const constants =
    variant.kernel === "matvec_rows" || variant.kernel === "matmul_rows"
      ? { ...weights.constants, WORKGROUP_SIZE: variant.workgroupSize }
      : weights.constants;
  return { name: variant.kernel, flags, sizes, imports: weights.imports, constants };
}

function flagsAndSizes(variant: LinearVariant): { flags: string[]; sizes: Record<string, number> } {
  switch (variant.kernel) {
    case "matvec_rows":
    case "matmul_rows": {
      const { rows, broadcast } = variant;
      const flags = broadcast > 0 ? ["BROADCAST"] : [];
      if (broadcast === 4) flags.push("BROADCAST_4");
      const sizes = { R: rows, PAIRS: rows / 2, LOADS: broadcast === 4 ? 2 : 1 };
      return {
        flags,
        sizes: variant.kernel === "matmul_rows" ? { ...sizes, T: variant.tokens } : sizes,
      };
    }
    case "matvec_lanes": {
      const { groups, lanes, subgroups } = variant;
      return {
        flags: subgroups ? ["SUBGROUPS"] : [],
        sizes: { GROUPS: groups, LANES: lanes },
      };
    }
    case "matmul_tile": {
      const { tile, quads, step } = variant;
      const sizes = { TILE: tile, STEP: step, Q: quads, THREADS: (tile / 4 / quads) ** 2 };
      return { flags: [], sizes };
    }
    default:
      throw new Error(`no linear variant ${JSON.stringify(variant satisfies never)}`);
  }
}

/** Equal for layouts that the same kernel reads. */
export function layoutKey({ kind, blockSize, hasMin }: PlanarLayout): string {
  return `${kind}-${blockSize}${hasMin ? "-min" : ""}`;
}

/** The part of a kernel's spec that reads weights of a layout. */
export function weightVariant({ kind, blockSize, hasMin }: PlanarLayout): {
  readonly imports: Readonly<Record<string, string>>;
  readonly constants: Readonly<Record<string, number>>;
} {
  return {
    imports: { weights: `weights_${kind}` },
    constants: kind === "q8" ? { BLOCK: blockSize, HAS_MIN: Number(hasMin) } : {},
  };
}

/** A variant in words, for reports. */
export function describeVariant({ kernel, ...sizes }: LinearVariant): string {
  const parts = Object.entries(sizes).map(([name, value]) => `${name} ${value}`);
  return `${kernel}: ${parts.join(", ")}`;
}

/** `Params` of the linear kernels, for one slice. */
export function linearParams(call: {
  readonly rows: number;
  readonly cols: number;
  readonly tokens: number;
  readonly yStride: number;
  readonly xOffset?: number;
  readonly yOffset?: number;
  readonly rowOffset?: number;
  readonly eps?: number;
}): Readonly<Record<string, number>> {
  const { rows, cols, tokens, yStride, xOffset = 0, yOffset = 0, rowOffset = 0, eps = 0 } = call;
  return {
    rows,
    cols,
    tokens,
    x_offset: xOffset,
    x_stride: cols,
    y_offset: yOffset,
    y_stride: yStride,
    row_offset: rowOffset,
    eps,
  };
}

/** Workgroups for `rows` rows and `tokens` tokens. */
export function linearGrid(variant: LinearVariant, rows: number, tokens: number): Workgroups {
  const [rowsEach, tokensEach] = workgroupTile(variant);
  const [x, y] = splitGrid(Math.ceil(rows / rowsEach));
  return [x, y, Math.ceil(tokens / tokensEach)];
}

/** Tokens of one dispatch over `rows` x `cols` weights: whole tiles, of at most `maxWork` products unless one has more. */
export function dispatchTokens(
  variant: LinearVariant,
  rows: number,
  cols: number,
  maxWork: number,
): number {
  const [, tile] = workgroupTile(variant);
  return Math.max(Math.floor(maxWork / (rows * cols * tile)), 1) * tile;
}

function workgroupTile(variant: LinearVariant): readonly [rows: number, tokens: number] {
  switch (variant.kernel) {
    case "matvec_rows":
      return [variant.rows * variant.workgroupSize, 1];
    case "matvec_lanes":
      return [variant.groups * ROW_GROUP, 1];
    case "matmul_rows":
      return [variant.rows * variant.workgroupSize, variant.tokens];
    case "matmul_tile":
      return [variant.tile, variant.tile];
    default:
      throw new Error(`no linear variant ${JSON.stringify(variant satisfies never)}`);
  }
}

/** At least `workgroups` workgroups, over x and y where one dimension can't hold them. */
export function splitGrid(workgroups: number): Workgroups {
  const y = Math.ceil(workgroups / MAX_GRID);
  return [Math.ceil(workgroups / y), y, 1];
}
