import { uniformBudgets } from "../budget.ts";
import type { CachePolicy } from "../policy.ts";

/** SnapKV (arXiv 2404.14469): what the last tokens attend to stays, equally many rows per layer. */
export const snapKv: CachePolicy = {
  name: "snapkv",
  options: ["budget", "layerBudgets", "windowSize", "pool"],
  defaults: {},
  scorer: { kind: "window", heads: "kv-group" },
  heads: "equal",
  budgets: uniformBudgets,
};
