import { uniformBudgets } from "../budget.ts";
import type { CachePolicy } from "../policy.ts";

/** StreamingLLM (arXiv 2309.17453): attention sinks at the start, and the most recent rows. */
export const streamingLlm: CachePolicy = {
  name: "streaming-llm",
  options: ["budget", "layerBudgets", "numSinks"],
  defaults: { windowSize: 0 },
  scorer: { kind: "recency" },
  heads: "equal",
  budgets: uniformBudgets,
};
