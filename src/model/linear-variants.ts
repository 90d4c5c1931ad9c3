import type { PlanarLayout } from "../formats/planar.ts";
import type { GpuContext } from "../gpu/device.ts";
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

/** A way to multiply a matrix with one token's x, or with many tokens'. */
export interface RowsVariant {
  readonly kernel: "matvec_rows" | "matmul_rows";
  /** Rows of a thread. */
  readonly rows: number;
  /** Tokens of a thread; 1 for a matvec. */
  readonly tokens: number;
  readonly broadcast: BroadcastSize;
  readonly workgroupSize: number;
}

export type LinearVariant = RowsVariant;

/** Which variant serves one token and which many, by kind of weights. */
export interface LinearChoice {
  readonly matvec: Readonly<Record<PlanarLayout["kind"], LinearVariant>>;
  readonly matmul: Readonly<Record<PlanarLayout["kind"], LinearVariant>>;
}

const MAX_GRID = 65535;

/** The kernel for a variant, a layout of weights and a form. */
export function linearKernelSpec(
  variant: LinearVariant,
  layout: PlanarLayout,
  form: LinearForm,
): KernelSpec {
  const flags: string[] = [];
  if (form.norm) flags.push("NORM");
  if (form.bias) flags.push("BIAS");
  if (form.residual) flags.push("RESIDUAL");
  if (form.gated) flags.push("GATED");
  const { kernel, rows, tokens, broadcast, workgroupSize } = variant;
  if (broadcast > 0) flags.push("BROADCAST");
  if (broadcast === 4) flags.push("BROADCAST_4");
  if (form.gated && rows === 1) flags.push("LANE_PAIRS");
  const weights = weightVariant(layout);
  return {
    name: kernel,
    flags,
    sizes: {
      R: rows,
      T: tokens,
      PAIRS: rows / 2,
      LOADS: broadcast === 4 ? 2 : 1,
      HALF_LANES: broadcast === 4 ? 0 : 4,
    },
    imports: weights.imports,
    constants: { WORKGROUP_SIZE: workgroupSize, ...weights.constants },
  };
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

/** Workgroups for `rows` rows and `tokens` tokens. */
export function linearGrid(variant: LinearVariant, rows: number, tokens: number): Workgroups {
  const [x, y] = splitGrid(Math.ceil(rows / (variant.rows * variant.workgroupSize)));
  return [x, y, Math.ceil(tokens / variant.tokens)];
}

/** At least `workgroups` workgroups, over x and y where one dimension can't hold them. */
export function splitGrid(workgroups: number): Workgroups {
  const y = Math.ceil(workgroups / MAX_GRID);
  return [Math.ceil(workgroups / y), y, 1];
}

/** What the choice of variants depends on. */
export type AdapterFacts = Pick<GpuContext, "isSoftware" | "features" | "info">;

/** The subgroup size that the broadcast kernels can use on an adapter, else 0. */
export function broadcastSize({ features, info }: AdapterFacts): BroadcastSize {
  const { subgroupMinSize: size, subgroupMaxSize } = info;
  if (!features.has("subgroups") || size !== subgroupMaxSize) return 0;
  return size === 4 || size === 8 ? size : 0;
}

/** The variants that an adapter starts with, from what is known of it. */
export function defaultChoice(adapter: AdapterFacts): LinearChoice {
  const broadcast = broadcastSize(adapter);
  const matvec = (rows: number, workgroupSize: number): LinearVariant => ({
    kernel: "matvec_rows",
    rows,
    tokens: 1,
    broadcast,
    workgroupSize,
  });
  const matmul = (rows: number, tokens: number, workgroupSize: number): LinearVariant => ({
    kernel: "matmul_rows",
    rows,
    tokens,
    broadcast,
    workgroupSize,
  });
  if (broadcast === 8) {
    const [one, many] = [matvec(1, 32), matmul(2, 4, 32)];
    return { matvec: { q4: one, q8: one, f16: one }, matmul: { q4: many, q8: many, f16: many } };
  }
  const [one, many] = [matvec(8, 16), matmul(4, 8, 16)];
  return { matvec: { q4: one, q8: one, f16: one }, matmul: { q4: many, q8: many, f16: many } };
}
