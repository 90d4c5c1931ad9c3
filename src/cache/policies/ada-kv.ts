import { uniformBudgets } from "../budget.ts";
import type { CachePolicy } from "../policy.ts";

/**
 * Ada-KV (arXiv 2407.11550) on SnapKV's ranking: a layer's rows go to the heads that need them, as
 * kvpress 0.5.5 shares them out: `headFloor` of an equal share is safe, the rest goes to the best.
 */
export const adaKv: CachePolicy = {
  name: "ada-kv",
  options: ["budget", "layerBudgets", "windowSize", "pool", "headFloor"],
  defaults: {},
  scorer: { kind: "window", heads: "kv-group" },
  heads: "adaptive",
  budgets: uniformBudgets,
};
