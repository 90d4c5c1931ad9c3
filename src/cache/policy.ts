import type { BudgetInput } from "./budget.ts";
import type { ResolvedCacheOptions } from "./options.ts";
import { adaKv } from "./policies/ada-kv.ts";
import { full } from "./policies/full.ts";
import { knorm } from "./policies/knorm.ts";
import { pyramidKv } from "./policies/pyramidkv.ts";
import { snapKv } from "./policies/snapkv.ts";
import { streamingLlm } from "./policies/streaming-llm.ts";
import { tova } from "./policies/tova.ts";

/**
 * What ranks the rows of a layer, on the GPU; higher scores stay.
 *
 * - `window`: the attention that the last `windowSize` queries pay to each row, mean over them and
 *   over the query heads of the KV head (or over all heads), smoothed by the pool;
 * - `key-norm`: small keys stay;
 * - `recency`: the first `numSinks` rows and the latest.
 */
export type Scorer =
  | { readonly kind: "window"; readonly heads: "kv-group" | "all" }
  | { readonly kind: "key-norm" }
  | { readonly kind: "recency" };

/** Options that only some policies take. */
export type PolicyOption =
  "budget" | "layerBudgets" | "windowSize" | "beta" | "pool" | "numSinks" | "headFloor";

/** A cache policy: how many rows each layer keeps, and which kernel ranks them. */
export interface CachePolicy {
  readonly name: string;
  /** The options that it takes; any other is refused. */
  readonly options: readonly PolicyOption[];
  /** What it takes where the caller gives nothing. */
  readonly defaults: Partial<Pick<ResolvedCacheOptions, "windowSize" | "pool">>;
  /** How rows are ranked; null keeps everything. */
  readonly scorer: Scorer | null;
  /** How a layer's rows are shared among its KV heads. */
  readonly heads: "equal" | "adaptive";
  /** Rows that each layer keeps per KV head, window included: non-increasing, exact total. */
  budgets(input: BudgetInput, options: ResolvedCacheOptions): number[];
}

/** The names of all policies. */
export type PolicyName =
  "full" | "streaming-llm" | "snapkv" | "pyramidkv" | "tova" | "knorm" | "ada-kv";

/** Every policy, by name. Adding one: see policies/README.md. */
export const POLICIES: Readonly<Record<PolicyName, CachePolicy>> = {
  full,
  "streaming-llm": streamingLlm,
  snapkv: snapKv,
  pyramidkv: pyramidKv,
  tova,
  knorm,
  "ada-kv": adaKv,
};
