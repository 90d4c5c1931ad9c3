import { ContextLengthError, InvalidOptionError } from "../errors.ts";
import { LogprobBlocks } from "./logprob-blocks.ts";
import { cacheReport, memoryReport } from "./memory.ts";
import type { PrefillEnd } from "./prefill.ts";
import { type Pass, prefillPasses } from "./prefill-prompt.ts";
import type { Runtime } from "./runtime.ts";
import type { ScoreOptions, ScoreResult } from "./types.ts";

/**
 * Log-probabilities of the tokens from `contextTokens` on. The context is run first, then the rest
 * is appended to its cache; logits are reduced on the GPU, a block of rows at a time. `begin` is
 * called when the options are checked: it has to leave the cache empty.
 */
export async function score(
  runtime: Runtime,
  tokenIds: Uint32Array<ArrayBuffer>,
  options: ScoreOptions,
  begin: () => void,
): Promise<ScoreResult> {
  const { contextTokens, signal, onPrefill } = options;
  const { gpu, cache, config } = runtime;
  signal?.throwIfAborted();
  checkLengths(tokenIds.length, contextTokens, config.contextLength);
  const wanted = tokenIds.length - contextTokens;
  begin();
  const blocks = await LogprobBlocks.create(runtime, tokenIds.slice(contextTokens));
  try {
    const common = { signal, onProgress: onPrefill, promptTokens: contextTokens };
    const context = tokenIds.slice(0, contextTokens);
    const last = async (end: PrefillEnd, { tokens, isLast }: Pass): Promise<void> => {
      if (isLast) await blocks.add(end, { start: tokens - 1, tokens: 1 }, 0);
    };
    const passes = await prefillPasses(runtime, context, last, { ...common, evict: true });
    const report = cacheReport(cache, passes);
    const rest = tokenIds.slice(contextTokens, -1);
    const all = (end: PrefillEnd, { first, tokens }: Pass): Promise<void> =>
      blocks.add(end, { start: 0, tokens }, 1 + first);
    await prefillPasses(runtime, rest, all, { ...common, evict: false });
    const logprobs = await blocks.read();
    const nll = -logprobs.reduce((sum, value) => sum + value, 0) / wanted;
    const memory = memoryReport(gpu.buffers, cache, 0);
    const perplexity = Math.exp(nll);
    return { tokenIds: [...tokenIds], logprobs, nll, perplexity, memory, cache: report };
  } catch (error) {
    cache.clear();
    throw error;
  } finally {
    blocks.destroy();
  }
}

function checkLengths(tokens: number, contextTokens: number, limit: number): void {
  if (tokens > limit) throw new ContextLengthError(tokens, limit, "the text");
  // With fewer no context would be right.
  if (tokens < 2) throw new InvalidOptionError("text", tokens, "at least two tokens long");
  if (!Number.isSafeInteger(contextTokens) || contextTokens < 1 || contextTokens >= tokens) {
    const rule = `a whole number from 1 to ${tokens - 1} (the text has ${tokens} tokens)`;
    throw new InvalidOptionError("contextTokens", contextTokens, rule);
  }
}
