import type { KvDtype } from "../cache/layout.ts";
import type { KernelSpec } from "../gpu/kernel.ts";
import { type AdapterFacts, broadcastSize, isSmallModel } from "./linear-choice.ts";
import type { BroadcastSize } from "./linear-variants.ts";

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
  /**
   * Subgroup size of the kernels for adapters on the CPU, which share loads within a subgroup and
   * do without barriers; 0: the kernels for GPUs.
   */
  readonly lanes: BroadcastSize;
  /** Queries that one thread of prefill on a CPU takes at most: more share a load, and take longer to compile. */
  readonly maxQueries: number;
  /** Cache rows of a decode split are at least this, so that a split is worth its overhead. */
  readonly minSplitRows: number;
  readonly maxSplits: number;
  /** Multiply-adds of one prefill dispatch: well under what trips a watchdog. */
  readonly maxDispatchWork: number;
}

/** The variant for an adapter and a model of so many weights. Figures behind the numbers are in `src/README.md`. */
export function chooseAttention(adapter: AdapterFacts, weights: number): AttentionVariant {
  return adapter.isSoftware
    ? {
        lanes: broadcastSize(adapter),
        maxQueries: isSmallModel(weights) ? 2 : 8,
        minSplitRows: 512,
        maxSplits: 16,
        maxDispatchWork: 2 ** 31, // 0.1 s on lavapipe, 1 s on SwiftShader, with two cores
      }
    : { lanes: 0, maxQueries: 1, minSplitRows: 64, maxSplits: 64, maxDispatchWork: 2 ** 34 };
}

/** Queries that one prefill workgroup takes; a query is one head of one token. */
export function prefillQueries(shape: AttentionShape, variant: AttentionVariant): number {
  return variant.lanes === 0 ? 64 : variant.lanes * queriesPerThread(shape, variant);
}

/** Queries of a thread share each loaded key; too many spill. */
function queriesPerThread(
  { headDim }: AttentionShape,
  { lanes, maxQueries }: AttentionVariant,
): number {
  return Math.min(Math.max(Math.floor(2048 / (lanes * headDim)), 1), 32 / lanes, maxQueries);
}

/**
 * Query heads that one decode workgroup takes: divides the heads of a KV head. More would not fit
 * into registers and workgroup memory.
 */
export function decodeHeads({ numHeads, numKvHeads, headDim }: AttentionShape): number {
  const queriesPerKvHead = numHeads / numKvHeads;
  let heads = Math.min(queriesPerKvHead, 8, Math.floor(1024 / headDim));
  while (queriesPerKvHead % heads !== 0) heads--;
  return heads;
}

/** How often the loops of attention_decode_rows run, by the names of its parameters. */
export function decodeLoops(
  { headDim }: AttentionShape,
  lanes: number,
): { readonly own_octets: number; readonly span: number; readonly lanes: number } {
  const octets = headDim / 8;
  const span = octets % lanes === 0 ? lanes : 4;
  return { own_octets: octets / span, span, lanes };
}

/** The kernels of a model shape by what they do. */
export type AttentionKernelSpecs = Readonly<
  Record<"ropeAppend" | "ropeTrack" | "prefill" | "decode" | "merge", KernelSpec>
>;

/** The kernels of a shape in a variant. */
export function attentionKernels(
  shape: AttentionShape,
  variant: AttentionVariant,
): AttentionKernelSpecs {
  const { numHeads, numKvHeads, headDim, ropeStyle, ropeFrequencies } = shape;
  const heads = { NUM_HEADS: numHeads, NUM_KV_HEADS: numKvHeads };
  const rope = {
    ROPE_DIM: 2 * ropeFrequencies.length,
    ROPE_INTERLEAVED: ropeStyle === "interleaved" ? 1 : 0,
  };
  const ropeAppend = {
    name: "rope_append",
    imports: { kv: `kv_${shape.kvDtype}` },
    constants: { ...heads, ...rope, HEAD_DIM: headDim },
  };
  return {
    ropeAppend,
    ropeTrack: { ...ropeAppend, flags: ["TRACK"] },
    ...(variant.lanes === 0 ? gpuKernels(shape) : softwareKernels(shape, variant)),
    merge: { name: "attention_merge", constants: { NUM_HEADS: numHeads, HEAD_DIM: headDim } },
  };
}

/** Workgroup memory that every device has, in bytes. */
const WORKGROUP_BYTES = 16384;

function gpuKernels(shape: AttentionShape): Pick<AttentionKernelSpecs, "prefill" | "decode"> {
  const { numHeads, numKvHeads, headDim, kvDtype } = shape;
  const imports = { kv: `kv_${kvDtype}` };
  const constants = { NUM_HEADS: numHeads, NUM_KV_HEADS: numKvHeads };
  // A key takes its row and a pad, and weights of 64 queries; 2 KiB are for the maxima.
  const wordBytes = kvDtype === "f16" ? 8 : 16;
  const keyBytes = (headDim / 4 + 1) * wordBytes + 256;
  const columns = Math.min(Math.floor((WORKGROUP_BYTES - 2048) / keyBytes / 8), 4);
  const heads = decodeHeads(shape);
  return {
    prefill: {
      name: "attention_prefill",
      imports,
      sizes: { HEAD_DIM: headDim, TILE: 8 * columns, COLS: columns, SHARE: headDim / 32 },
      constants,
    },
    decode: {
      name: "attention_decode",
      imports,
      sizes: {
        HEAD_DIM: headDim,
        HEADS: heads,
        BLOCK: heads * headDim < 1024 ? 64 : 32,
        PER_THREAD: Math.max(Math.ceil((heads * headDim) / 4 / 128), 1),
      },
      constants,
    },
  };
}

function softwareKernels(
  shape: AttentionShape,
  variant: AttentionVariant,
): Pick<AttentionKernelSpecs, "prefill" | "decode"> {
  const { lanes } = variant;
  const { numHeads, numKvHeads, headDim, kvDtype } = shape;
  const imports = { kv: `kv_${kvDtype}` };
  const constants = { NUM_HEADS: numHeads, NUM_KV_HEADS: numKvHeads };
  const octets = headDim / 8;
  const { own_octets: ownOctets, span } = decodeLoops(shape, lanes);
  return {
    prefill: {
      name: "attention_prefill_rows",
      imports,
      sizes: {
        HEAD_DIM: headDim,
        WORDS: headDim / 4,
        OCTETS: octets,
        OWN: Math.ceil(octets / lanes),
        LANES: lanes,
        ROWS: queriesPerThread(shape, variant),
      },
      constants: { ...constants, RESCALE_ALWAYS: lanes === 4 ? 1 : 0 },
    },
    decode: {
      name: "attention_decode_rows",
      imports,
      sizes: {
        HEAD_DIM: headDim,
        HEADS: decodeHeads(shape),
        LANES: lanes,
        SPAN: span,
        OWN: ownOctets,
        ROWS: 2,
      },
      constants,
    },
  };
}
