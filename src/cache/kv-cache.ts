import type { DispatchList } from "../gpu/recorder.ts";
import type { CacheImage } from "./cache-image.ts";
import type { TokenScores } from "./kept-scores.ts";
import type { KvShape } from "./layout.ts";
import type { ResolvedCacheOptions } from "./options.ts";
import type { CachePlan } from "./scheduler.ts";

/** The rows of one layer, on the GPU; each head's rows start where the table says. */
export interface LayerRegion {
  readonly keys: GPUBuffer;
  readonly values: GPUBuffer;
  /** Position of each row, u32, where rows are evicted; else row j of a head is position j. */
  readonly positions?: GPUBuffer;
  /** Most rows that any head has room for. */
  readonly capacity: number;
}

/** Where a prefill's new rows of a layer go: row `offset + head * stride + index`. */
export interface StagedRegion {
  readonly keys: GPUBuffer;
  readonly values: GPUBuffer;
  readonly offset: number;
  readonly stride: number;
  /** Rows that a head has room for. */
  readonly rows: number;
}

/** Where RoPE leaves what ranks the rows later. */
export interface RowTracking {
  /**
   * The last queries, after RoPE, f32 `[layer][windowSize][numHeads][headDim]`: that of position p
   * in slot `p % windowSize`.
   */
  readonly queries: GPUBuffer;
  readonly layer: number;
  readonly windowSize: number;
  /** Index in the prefill of the first query that is wanted. */
  readonly from: number;
  /** Decode: positions of the layer's rows, u32. */
  readonly positions?: GPUBuffer;
}

/** A prefill in work: layer after layer is staged, then taken into the cache. */
export interface CachePrefill {
  staged(layer: number): StagedRegion;
  /** Rows that the longest head of a layer holds before. */
  keptRows(layer: number): number;
  /** Where attention leaves max and sum of the queries from index `from` on, if it should. */
  readonly stats: { readonly buffer: GPUBuffer; readonly from: number } | undefined;
  /** What appending keeps track of beside the rows, if the policy needs it. */
  track(layer: number): RowTracking | undefined;
  /** Record what takes a layer's staged rows into the cache: a compression, or nothing. */
  takeLayer(list: DispatchList, layer: number): Promise<void>;
  /** What `takeLayer` recorded is submitted: free what it replaced. */
  layerSubmitted(): void;
  /** All layers are submitted: the new rows belong to the cache. */
  end(): Promise<void>;
  /** The prefill failed: free what was made for it. The caller restores the cache. */
  cancel(): void;
}

/** The cache at one moment of a conversation, to return to. */
export interface RestorePoint {
  /** Tokens seen by then. */
  readonly tokens: number;
  /** Bytes of host memory that it holds; other points may share them. */
  readonly hostBytes: number;
  /** It is not needed any more. */
  release(): void;
}

/** Rows of one KV head: heads of a layer differ where a policy shares its rows out by need. */
export interface HeadRows {
  /** Rows that the policy allows the head, window included; undefined before the first prefill. */
  readonly budget: number | undefined;
  /** Rows in use. */
  readonly length: number;
  /** Rows allocated. */
  readonly capacity: number;
  /** Of its rows. */
  readonly bytes: number;
}

/** Rows and bytes of one layer. */
export interface LayerRows {
  /** Rows per KV head that the policy allows; undefined before the first prefill. */
  readonly budget: number | undefined;
  /** Rows in use, of the longest head. */
  readonly length: number;
  /** Rows allocated, of the longest head. */
  readonly capacity: number;
  /** Of all heads' rows. */
  readonly bytes: number;
  readonly heads: readonly HeadRows[];
  /**
   * Share of the window's attention that the kept rows carry, per KV head: measured. Empty where the
   * policy ranks without attention.
   */
  readonly keptMass: readonly number[];
}

/** Keys and values of the tokens seen so far, or of those that a policy keeps. */
export interface KvCache {
  readonly shape: KvShape;
  readonly options: ResolvedCacheOptions;
  /** `array<vec4<u32>>` `[layer][head]`: (offset, length, capacity, 0). */
  readonly table: GPUBuffer;
  /** Tokens seen: the position of the next one. */
  readonly tokens: number;
  /** Tokens that policy `full` would hold room for by now. */
  readonly fullTokens: number;
  /** What the last prefill or compression was planned to do. */
  readonly plan: CachePlan | undefined;
  region(layer: number): LayerRegion;
  layers(): LayerRows[];
  /** What decode's appending keeps track of, if the policy needs it. */
  track(layer: number): RowTracking | undefined;
  /** Rows that decode may append to every head before `makeRoom`. */
  room(): number;
  /** Bytes of host memory that all restore points hold together. */
  readonly hostBytes: number;
  /**
   * Prepare for `newTokens` more tokens of a prompt of `promptTokens` (all turns together). Unless
   * `evict`, all rows stay, whatever the budget: they are appended as decode would.
   */
  beginPrefill(newTokens: number, promptTokens: number, evict: boolean): Promise<CachePrefill>;
  /**
   * Nothing is in flight, and the GPU has appended up to `tokens`: make room for more. When this
   * throws, restore the cache.
   */
  makeRoom(tokens: number): Promise<void>;
  /**
   * Nothing is in flight: the cache ends with token `tokens`, rows after it are dropped. `overran`:
   * there may have been such rows.
   */
  settle(tokens: number, overran?: boolean): void;
  /** So many tokens are known to have been seen, while later rows are in flight: `fullTokens` counts them. */
  noteTokens?(tokens: number): void;
  /**
   * To how many of the first `tokens` tokens the cache can be cut back by dropping rows, so that a
   * prompt of `promptTokens` can go on from there; 0 if to none.
   */
  cutPoint(tokens: number, promptTokens: number): number;
  /** Drop what came after the first `tokens` tokens, as many as `cutPoint` has given. */
  cut(tokens: number): Promise<void>;
  /** Note the present state, to return to it. */
  restorePoint(): Promise<RestorePoint>;
  /**
   * Return to a point, or to nothing seen. Points of later states stay good: rows that they lose go to
   * host memory. Policy `full`, whose rows may be too many for that, then returns to what is left of them.
   * @throws GpuOutOfMemoryError, DeviceLostError; then the cache may be empty.
   */
  restore(point: RestorePoint | undefined): Promise<void>;
  /** All that it holds, to be saved; nothing is in flight, and nothing changes until it is read. */
  image(): CacheImage;
  /**
   * Hold what an image of a cache with the same shape and options says, in the place of what is here.
   * @throws GpuOutOfMemoryError, DeviceLostError, what reading the image throws; then it is empty.
   */
  load(image: CacheImage): Promise<void>;
  /** Positions that a layer keeps, ascending, per KV head. */
  keptPositions(layer: number): Promise<number[][]>;
  /** How a token ranked when the cache was last compressed; undefined where no scores are kept. */
  tokenScores?(position: number): Promise<TokenScores | undefined>;
  /** Forget everything and give the memory back. */
  clear(): void;
  destroy(): void;
}
