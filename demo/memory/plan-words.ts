import { formatCount, formatMiB, formatShare } from "../../src/elements.ts";
import { longestPrompt, type MemoryPlan, type PlanRequest } from "../../src/profile.ts";

/** What a plan comes to, in a sentence or a few. */
export function planWords(
  { model, tokens, sequences = 1 }: PlanRequest,
  { evicts, kv, weights }: MemoryPlan,
): string {
  const [context, count] = [model.contextLength, sequences].map(formatCount);
  const sentences = [
    tokens > model.contextLength ? `The model reads no more than ${context} tokens.` : "",
    evicts ? "" : "Nothing is evicted: the prompt is shorter than the budget.",
    `${sequences > 1 ? `${count} caches of` : "Cache"} ${formatMiB(kv.final)}${sequences > 1 ? " together" : ""} ` +
      `(${formatMiB(kv.peak)} at peak) instead of ${formatMiB(kv.full)}, ` +
      `${formatShare((kv.full - kv.final) / kv.full)} saved; weights ${formatMiB(weights)}.`,
  ];
  return sentences.filter(Boolean).join(" ");
}

/** Which prompts fit in so much memory. */
export function fitWords(request: PlanRequest, limitMiB: number): string {
  if (!(limitMiB > 0)) return "Say how much memory there is, to see which prompts fit in it.";
  const fits = longestPrompt(request, limitMiB * 2 ** 20);
  const limit = formatMiB(limitMiB * 2 ** 20);
  if (fits === 0) return `No prompt fits in ${limit}.`;
  const all = fits === request.model.contextLength ? ", all that the model reads," : "";
  return `Prompts of up to ${formatCount(fits)} tokens${all} fit in ${limit}.`;
}
