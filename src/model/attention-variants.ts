import type { KvDtype } from "../cache/layout.ts";
import type { GpuContext } from "../gpu/device.ts";
import type { KernelSpec } from "../gpu/kernel.ts";

/** What the attention kernels need to know of a model. */
export interface AttentionShape {
  readonly numHeads: number;
  /** Divides `numHeads`. */
  readonly numKvHeads: number;
  /** A multiple of 32, at most 256. */
  readonly headDim: number;
  readonly kvDtype: KvDtype;
  /** Pairs that RoPE rotates: (2i, 2i + 1), or (i, i + ropeDim / 2). */
  readonly ropeStyle: "interleaved" | "half";
  /** Radians per position of each pair, `ropeDim / 2`; a multiple of 8 of them. */
  readonly ropeFrequencies: Float32Array;
}

/** How the attention kernels are laid out; results differ in rounding only. */
export interface AttentionVariant {
  /** Queries of a thread in prefill. */
  readonly queriesPerThread: number;
  /** Threads of a prefill workgroup; with `broadcast` also the size of a subgroup. */
  readonly lanes: number;
  /** Load keys and values once per subgroup. */
  readonly broadcast: boolean;
  /** Cache rows of a decode split are at least this, so that a split is worth its overhead. */
  readonly minSplitRows: number;
  readonly maxSplits: number;
}

/** The variant for an adapter. */
export function chooseAttention(gpu: GpuContext): AttentionVariant {
  const { subgroupMinSize: lanes = 0, subgroupMaxSize } = gpu.info;
  const fixedSubgroups = gpu.features.has("subgroups") && lanes >= 4 && lanes === subgroupMaxSize;
  const broadcast = gpu.isSoftware && fixedSubgroups;
  return {
    queriesPerThread: 2,
    lanes: broadcast ? lanes : 8,
    broadcast,
    minSplitRows: gpu.isSoftware ? 512 : 64,
    maxSplits: gpu.isSoftware ? 16 : 64,
  };
}

/** Query heads that one decode workgroup takes: divides the heads of a KV head. */
export function decodeHeads({ numHeads, numKvHeads }: AttentionShape): number {
  const queriesPerKvHead = numHeads / numKvHeads;
  let heads = Math.min(queriesPerKvHead, 8);
  while (queriesPerKvHead % heads !== 0) heads--;
  return heads;
}

/** The kernels of a shape in a variant. */
export function attentionKernels(
  shape: AttentionShape,
  variant: AttentionVariant,
): Readonly<
  Record<"ropeAppend" | "ropeTrack" | "prefill" | "decode" | "merge" | "adjustLengths", KernelSpec>
> {
  const { numHeads, numKvHeads, headDim, kvDtype, ropeStyle, ropeFrequencies } = shape;
  const { queriesPerThread, lanes, broadcast } = variant;
  const imports = { kv: `kv_${kvDtype}` };
  const NUM_HEADS = numHeads;
  const NUM_KV_HEADS = numKvHeads;
  const heads = decodeHeads(shape);
  const ropeAppend = {
    name: "rope_append",
    imports,
    constants: {
      NUM_HEADS,
      NUM_KV_HEADS,
      HEAD_DIM: headDim,
      ROPE_DIM: 2 * ropeFrequencies.length,
      ROPE_INTERLEAVED: ropeStyle === "interleaved" ? 1 : 0,
    },
  };
  return {
    ropeAppend,
    ropeTrack: { ...ropeAppend, flags: ["TRACK"] },
    prefill: {
      name: "attention_prefill_rows",
      flags: broadcast ? ["SUBGROUPS"] : [],
      imports,
      sizes: {
        HEAD_DIM: headDim,
        WORDS: headDim / 4,
        OCTETS: headDim / 8,
        OWN: Math.ceil(headDim / 8 / lanes),
        ROWS: queriesPerThread,
        LANES: lanes,
      },
      constants: { NUM_HEADS, NUM_KV_HEADS },
    },
    decode: {
      name: "attention_decode",
      imports,
      sizes: {
        HEAD_DIM: headDim,
        QUARTER_OCTETS: headDim / 32,
        HEADS: heads,
        // Queries, partial sums and logits have to fit into 16 KiB.
        BLOCK: heads * headDim > 1024 ? 32 : 64,
      },
      constants: { NUM_HEADS, NUM_KV_HEADS },
    },
    merge: { name: "attention_merge", constants: { NUM_HEADS, HEAD_DIM: headDim } },
    adjustLengths: { name: "adjust_lengths" },
  };
}
