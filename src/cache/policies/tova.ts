import { uniformBudgets } from "../budget.ts";
import type { CachePolicy } from "../policy.ts";

/** TOVA (arXiv 2401.06104): what the last token attends to stays, mean over all heads of a layer. */
export const tova: CachePolicy = {
  name: "tova",
  options: ["budget", "layerBudgets"],
  defaults: { windowSize: 1, pool: { kind: "avg", size: 1 } },
  scorer: { kind: "window", heads: "all" },
  heads: "equal",
  budgets: uniformBudgets,
};
