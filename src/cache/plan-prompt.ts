import type { KvShape } from "./layout.ts";
import type { ResolvedCacheOptions } from "./options.ts";
import { type CachePlan, planCache } from "./scheduler.ts";

/** What a first prompt comes to. */
export interface PromptPlan extends CachePlan {
  /** Passes in which the prompt is read. All but `bytes.peak` is that of the last one. */
  readonly passes: number;
}

/**
 * Plan a first prompt of `tokens` tokens, of which at most `passTokens` are read at a time. Each pass
 * is compressed before the next: budgets are those of the whole prompt, and the peak is that of the
 * dearest pass.
 * @throws InvalidOptionError for a byte budget that does not even hold the windows.
 */
export function planPrompt(
  shape: KvShape,
  options: ResolvedCacheOptions,
  tokens: number,
  passTokens: number = Infinity,
): PromptPlan {
  const none = Array<number>(shape.numLayers).fill(0);
  let [plan, peak, passes, seen]: [CachePlan | undefined, number, number, number] = [
    undefined,
    0,
    0,
    0,
  ];
  do {
    const newTokens = Math.min(passTokens, tokens - seen);
    const rows = plan?.rows ?? none;
    // Where heads share rows by need, one of them may have those of all.
    const most = Math.max(...rows) * (options.policy.heads === "adaptive" ? shape.numKvHeads : 1);
    plan = planCache(shape, options, {
      promptTokens: tokens,
      tokens: seen + newTokens,
      newTokens,
      lengths: rows,
      capacities: plan?.capacities ?? none,
      longest: Math.min(most, seen),
      evict: true,
    });
    peak = Math.max(peak, plan.bytes.peak);
    seen += newTokens;
    passes++;
  } while (seen < tokens);
  return { ...plan, bytes: { ...plan.bytes, peak }, passes };
}
