import { uniformBudgets } from "../budget.ts";
import type { CachePolicy } from "../policy.ts";

/** Key norms (arXiv 2406.11430): rows with small keys stay; needs no attention and no window. */
export const knorm: CachePolicy = {
  name: "knorm",
  options: ["budget", "layerBudgets"],
  defaults: { windowSize: 0 },
  scorer: { kind: "key-norm" },
  heads: "equal",
  budgets: uniformBudgets,
};
