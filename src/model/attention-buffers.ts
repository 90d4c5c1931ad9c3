import type { BufferBinding } from "../gpu/recorder.ts";

/** A layer's buffers while tokens go through it. */
export interface AttentionBuffers {
  /** Cache table `[layer][KV head]` of (offset, length, capacity, 0). */
  readonly table: BufferBinding;
  /** f32 `[tokens][numHeads + 2 numKvHeads][headDim]`: queries, keys, values. */
  readonly qkv: BufferBinding;
  /** The layer's cache rows. */
  readonly keys: BufferBinding;
  readonly values: BufferBinding;
  /** f32 `[tokens][numHeads][headDim]`. */
  readonly out: BufferBinding;
}

/** Where the new rows of a prefill lie: row `offset + head * stride + index in the prefill`. */
export interface StagedRows {
  readonly keys: BufferBinding;
  readonly values: BufferBinding;
  readonly offset: number;
  readonly stride: number;
  /** Rows that each head has room for. */
  readonly rows: number;
}

/** Some tokens of a prefill. */
export interface PrefillChunk {
  /** Table entry of the layer's first KV head: `layer * numKvHeads`. */
  readonly tableBase: number;
  /** Index of the first token in the prefill. */
  readonly start: number;
  readonly tokens: number;
}

/** Where prefill attention leaves max and sum of the softmax of its last queries. */
export interface AttentionStats {
  /** f32 pairs (max logit, sum of exp(logit - max)), `[index - from][numHeads]`. */
  readonly buffer: BufferBinding;
  /** Index in the prefill of the first query that is wanted. */
  readonly from: number;
}
