/** Keys, values and positions of a layer's rows. */
export interface CompressRows {
  readonly keys: GPUBuffer;
  readonly values: GPUBuffer;
  readonly positions: GPUBuffer;
}

/** One layer's compression. Rows and lengths of the heads are read from the table on the GPU. */
export interface CompressCall {
  readonly layer: number;
  readonly table: GPUBuffer;
  /** The layer's rows before; undefined where it has none. */
  readonly from: CompressRows | undefined;
  /** New rows: head `h` from row `h * newTokens` of the scratch's staged buffers; may be 0. */
  readonly newTokens: number;
  /** Position of the first new row. */
  readonly firstPosition: number;
  /** Most candidates of a head: bounds the grids. */
  readonly candidates: number;
  readonly to: CompressRows;
  /** Rows that the layer keeps per KV head (their mean, where heads differ). */
  readonly rows: number;
  /** Rows that each head gets beside those. */
  readonly spareRows: number;
  /** False: every candidate stays, and nothing is scored. */
  readonly evicts: boolean;
  /** f32 `[layer][windowSize][numHeads][headDim]`. */
  readonly queries: GPUBuffer;
  /** Tokens seen, these ones included: the last window query is that of position `tokens - 1`. */
  readonly tokens: number;
  /** Attention has left max and sum of all window queries in the scratch's stats. */
  readonly hasStats: boolean;
  /** f32 `[layer][numKvHeads]`: the share of the window's attention that the kept rows carry. */
  readonly keptMass: GPUBuffer;
}

/**
 * Buffers that live only while layers are compressed (sizes: layout.ts). In the place of one that
 * needs no bytes stands another one, which nothing reads or writes there.
 */
export interface Scratch {
  readonly stagedKeys: GPUBuffer;
  readonly stagedValues: GPUBuffer;
  readonly stats: GPUBuffer;
  readonly scores: GPUBuffer;
  readonly pooled: GPUBuffer;
  readonly heads: GPUBuffer;
  readonly kept: GPUBuffer;
}
