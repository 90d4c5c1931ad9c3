import type { CachePolicy } from "../policy.ts";

/** Keeps every row: the baseline that the others are measured against. */
export const full: CachePolicy = {
  name: "full",
  options: [],
  defaults: {},
  scorer: null,
  heads: "equal",
  budgets: ({ numLayers, tokens }) => Array<number>(numLayers).fill(tokens),
};
