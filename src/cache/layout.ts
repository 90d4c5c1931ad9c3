/** Sizes of everything that a KV cache needs: one source for what is planned and what is allocated. */

/** Storage type of cached keys and values; `f16` is packed in u32 and needs no GPU feature. */
export type KvDtype = "f16" | "f32";

/** What the cache needs to know of a model. */
export interface KvShape {
  readonly numLayers: number;
  readonly numHeads: number;
  readonly numKvHeads: number;
  readonly headDim: number;
  readonly dtype: KvDtype;
}

/** Policy `full` allocates rows per head in multiples of this, so that buffers rarely change. */
const FULL_GRANULE = 256;

/** Rows that decode appends at least before the cache is compressed again: keeps that rare. */
const MIN_SPARE_ROWS = 64;

/** Bytes of one row (one token, one KV head) of keys or of values. */
export function kvRowBytes({ headDim, dtype }: Pick<KvShape, "headDim" | "dtype">): number {
  return headDim * (dtype === "f16" ? 2 : 4);
}

/** Rows per head that policy `full` allocates for `tokens` tokens. */
export function fullCapacity(tokens: number): number {
  return Math.ceil(tokens / FULL_GRANULE) * FULL_GRANULE;
}

/** Bytes that policy `full` allocates for `tokens` tokens: keys and values of all layers, table. */
export function fullCacheBytes(shape: KvShape, tokens: number): number {
  const rows = shape.numLayers * shape.numKvHeads * fullCapacity(tokens);
  return 2 * rows * kvRowBytes(shape) + tableBytes(shape);
}

/** Bytes of the table of (offset, length, capacity, 0) per layer and KV head. */
export function tableBytes({ numLayers, numKvHeads }: KvShape): number {
  return numLayers * numKvHeads * 16;
}

/** Rows that a head has beyond those that a compression keeps. */
export function spareRows(windowSize: number): number {
  return Math.max(windowSize, MIN_SPARE_ROWS);
}

/** Bytes of one row of a compressed layer: key, value and position. */
export function compressedRowBytes(shape: KvShape): number {
  return 2 * kvRowBytes(shape) + 4;
}

/** Least size of a buffer that a kernel binds as an array of `vec4`. */
const MIN_VEC4_BYTES = 16;

/** Bytes of the ring of the last `windowSize` queries of every layer, f32 after RoPE. */
export function queryRingBytes(shape: KvShape, windowSize: number): number {
  const bytes = shape.numLayers * windowSize * shape.numHeads * shape.headDim * 4;
  return Math.max(bytes, MIN_VEC4_BYTES);
}

/** Bytes of the measured attention mass that each layer and KV head keeps. */
export function keptMassBytes({ numLayers, numKvHeads }: KvShape): number {
  return numLayers * numKvHeads * 4;
}

/** Bytes that a compressed cache always has, whatever it keeps. */
export function compressedFixedBytes(shape: KvShape, windowSize: number): number {
  return tableBytes(shape) + queryRingBytes(shape, windowSize) + keptMassBytes(shape);
}

/** Part `at` of bytes that belong to so many alike: the first one has what can't be divided. */
export function shareOf(bytes: number, parts: number, at: number): number {
  const rest = at === 0 ? bytes % parts : 0;
  return Math.floor(bytes / parts) + rest;
}

/** Buffers that live only while layers are compressed, in bytes. */
export interface ScratchBytes {
  /** Keys (and as many for values) of the layer in work: `[numKvHeads][newTokens]` rows. */
  readonly stagedKeys: number;
  /** (max, sum) of the window's softmax: `[windowSize][numHeads]` pairs of f32. */
  readonly stats: number;
  /** Scores of all candidates: `[numKvHeads][stride]` f32. */
  readonly scores: number;
  /** Smoothed scores, where the policy smooths: the same size. */
  readonly pooled: number;
  /** (offset, length, rows kept, first new row) of each head: `[numKvHeads]` of four u32. */
  readonly heads: number;
  /** Selected candidates of all heads, u32. */
  readonly kept: number;
}

/** What sizes the scratch buffers. */
export interface ScratchInput {
  readonly newTokens: number;
  /** Most candidates of a head: kept rows and new ones. */
  readonly candidates: number;
  /** Most rows that a layer keeps, all heads together. */
  readonly layerRows: number;
  readonly windowSize: number;
  readonly pools: boolean;
}

/** Elements from one head's scores to the next one's: a multiple of 4, for `vec4` loads. */
export function scoreStride(candidates: number): number {
  return Math.ceil(candidates / 4) * 4;
}

export function scratchBytes(shape: KvShape, input: ScratchInput): ScratchBytes {
  const { newTokens, candidates, layerRows, windowSize, pools } = input;
  const scores = shape.numKvHeads * scoreStride(candidates) * 4;
  return {
    stagedKeys: shape.numKvHeads * newTokens * kvRowBytes(shape),
    stats: Math.max(windowSize, 1) * shape.numHeads * 8,
    scores,
    pooled: pools ? scores : 0,
    heads: shape.numKvHeads * 16,
    kept: layerRows * 4,
  };
}

/** Policy `full` needs none. */
export const NO_SCRATCH: ScratchBytes = {
  stagedKeys: 0,
  stats: 0,
  scores: 0,
  pooled: 0,
  heads: 0,
  kept: 0,
};

/** Bytes of all scratch buffers together. */
export function totalScratchBytes(scratch: ScratchBytes): number {
  const { stagedKeys, stats, scores, pooled, heads, kept } = scratch;
  return 2 * stagedKeys + stats + scores + pooled + heads + kept;
}
