import type { GpuContext } from "../gpu/device.ts";
import type { KernelSpec } from "../gpu/kernel.ts";
import type { KvShape } from "./layout.ts";
import type { ResolvedCacheOptions, ScorePool } from "./options.ts";

/** The kernels that compress a layer, in the order in which they run; a policy needs some. */
export type CompressKernelName =
  | "score_stats"
  | "score_window"
  | "score_keynorm"
  | "score_recency"
  | "pool_scores"
  | "split_budget"
  | "place_heads"
  | "select_topk"
  | "kept_mass"
  | "compact_kv"
  | "compact_positions";

/** Invocations of a workgroup that takes a candidate each. */
export const WORKGROUP_SIZE = 64;

/** Query rows that score_stats and score_window take at a time. */
export const QUERY_ROWS = 8;

/** How the kernels are laid out; results differ in rounding only, and selection not at all. */
export interface CompressVariant {
  /** Subgroups of this size share their loads of queries; 0: every invocation loads its own. */
  readonly lanes: 0 | 4 | 8 | 16;
  /** Invocations that select one head's rows. */
  readonly selectSize: number;
}

/** The variant for an adapter. Loads and barriers are dear on the CPU. */
export function chooseCompress(gpu: GpuContext): CompressVariant {
  const { subgroupMinSize, subgroupMaxSize } = gpu.info;
  const sizes = [4, 8, 16] as const;
  const lanes = sizes.find((size) => size === subgroupMinSize && size === subgroupMaxSize) ?? 0;
  const shares = gpu.isSoftware && gpu.features.has("subgroups");
  return { lanes: shares ? lanes : 0, selectSize: gpu.isSoftware ? 64 : 256 };
}

/** The kernels of a policy that evicts. */
export function compressKernels(
  shape: KvShape,
  options: Pick<ResolvedCacheOptions, "policy" | "pool">,
  variant: CompressVariant,
): Partial<Record<CompressKernelName, KernelSpec>> {
  const { scorer, heads } = options.policy;
  const { headDim: HEAD_DIM } = shape;
  const imports = { kv: `kv_${shape.dtype}` };
  const scoring =
    scorer?.kind === "window"
      ? windowKernels(shape, options.pool, scorer.heads, variant)
      : scorer?.kind === "key-norm"
        ? { score_keynorm: { name: "score_keynorm", imports } }
        : { score_recency: { name: "score_recency" } };
  const split = { split_budget: { name: "split_budget" } };
  const select = { WORKGROUP_SIZE: variant.selectSize };
  return {
    ...scoring,
    ...(heads === "adaptive" ? split : {}),
    place_heads: { name: "place_heads" },
    select_topk: { name: "select_topk", constants: select },
    compact_kv: { name: "compact_kv", imports, constants: { HEAD_DIM } },
    compact_positions: { name: "compact_positions" },
  };
}

function windowKernels(
  { numHeads: NUM_HEADS, numKvHeads: NUM_KV_HEADS, headDim: HEAD_DIM, dtype }: KvShape,
  pool: ScorePool,
  heads: "kv-group" | "all",
  { lanes }: CompressVariant,
): Partial<Record<CompressKernelName, KernelSpec>> {
  // Pairs of lanes load a query row's octet; without subgroups it makes no difference.
  const PAIRS = (lanes || QUERY_ROWS) / 2;
  const logits = {
    flags: lanes > 0 ? ["SUBGROUPS"] : [],
    imports: { kv: `kv_${dtype}` },
    sizes: { PAIRS, LOADS: QUERY_ROWS / PAIRS },
  };
  const constants = { NUM_HEADS, NUM_KV_HEADS, HEAD_DIM };
  const ALL_HEADS = Number(heads === "all");
  const pooling = { POOL_SIZE: pool.size, POOL_MAX: Number(pool.kind === "max") };
  return {
    score_stats: { name: "score_stats", ...logits, constants },
    score_window: { name: "score_window", ...logits, constants: { ...constants, ALL_HEADS } },
    pool_scores: { name: "pool_scores", constants: pooling },
    kept_mass: { name: "kept_mass" },
  };
}
