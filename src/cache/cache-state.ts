import type { Compression } from "./compression.ts";
import type { CachePlan } from "./scheduler.ts";

/** What a compressed cache is at one moment, beside its rows and window queries. */
export interface CacheState {
  /** Tokens seen. */
  readonly tokens: number;
  /** Most tokens seen since the cache was empty. */
  readonly mostTokens: number;
  /** Tokens of the last prompt, which a share budget is a share of. */
  readonly promptTokens: number;
  /** Of the last compression; of what was appended since only its room. */
  readonly plan: CachePlan | undefined;
  /** Attention mass that the last compression kept, `[layer][head]`. */
  readonly mass: readonly number[];
  /** From this token on every head has all rows, in order: they can be dropped from the end. */
  readonly wholeFrom: number;
  /** The ring has the last queries before this token; infinite where it has not even those. */
  readonly queriesEnd: number;
}

/** The state of a cache that has seen nothing. */
export const NOTHING_SEEN: CacheState = {
  tokens: 0,
  mostTokens: 0,
  promptTokens: 0,
  plan: undefined,
  mass: [],
  wholeFrom: 0,
  queriesEnd: 0,
};

/** The state when the cache ends with token `tokens`; `overran`: later tokens may have come and gone. */
export function settled(state: CacheState, tokens: number, overran: boolean): CacheState {
  const mostTokens = Math.max(state.mostTokens, tokens);
  // Rows that are dropped have left their queries in the ring, in the place of older ones.
  return { ...state, tokens, mostTokens, queriesEnd: overran ? Infinity : tokens };
}

/**
 * The state when a compression is done that kept `mass` of the window's attention. Where it was not to `evict`,
 * rows were only appended, and what the one before has kept stays true.
 */
export function compressed(
  { mostTokens, wholeFrom, plan: before, mass: massBefore }: CacheState,
  { tokens, work: { plan } }: Compression,
  {
    promptTokens,
    windowSize,
    mass,
    evict,
  }: Pick<CacheState, "promptTokens" | "mass"> & {
    readonly windowSize: number;
    readonly evict: boolean;
  },
): CacheState {
  const kept = evict ? undefined : before;
  return {
    tokens,
    mostTokens: Math.max(mostTokens, tokens),
    promptTokens,
    plan: kept === undefined ? plan : grown(kept, plan.capacities),
    mass: kept === undefined ? mass : massBefore,
    // The window is never evicted: each head's last rows are the last tokens.
    wholeFrom: plan.evicts ? tokens - windowSize : wholeFrom,
    queriesEnd: tokens,
  };
}

/** A plan whose heads have got other capacities since, with no other budgets: all got as many rows. */
function grown(plan: CachePlan, capacities: readonly number[]): CachePlan {
  const more = (capacities[0] as number) - (plan.capacities[0] as number);
  return { ...plan, capacities, spareRows: plan.spareRows + more };
}

/**
 * `KvCache.cutPoint`: the prompt's last `windowSize` queries rank its rows. Those that the ring has
 * lost have to be computed again with it.
 */
export function cutPoint(
  { wholeFrom, queriesEnd }: CacheState,
  windowSize: number,
  tokens: number,
  promptTokens: number,
): number {
  const ringHasAll = promptTokens >= queriesEnd;
  const last = promptTokens - (ringHasAll ? 1 : Math.max(windowSize, 1));
  const point = Math.min(tokens, last);
  return point >= wholeFrom && point > 0 ? point : 0;
}
