import { pyramidBudgets } from "../budget.ts";
import type { CachePolicy } from "../policy.ts";

/** PyramidKV (arXiv 2406.02069): SnapKV's ranking, with budgets that shrink from layer to layer. */
export const pyramidKv: CachePolicy = {
  name: "pyramidkv",
  options: ["budget", "layerBudgets", "windowSize", "beta", "pool"],
  defaults: {},
  scorer: { kind: "window", heads: "kv-group" },
  heads: "equal",
  budgets: (input, { beta }) => pyramidBudgets(input, beta),
};
