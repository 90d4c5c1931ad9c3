import { ContextLengthError, InvalidOptionError } from "../errors.ts";
import { LogprobBlocks } from "./logprob-blocks.ts";
import { cacheReport, memoryReport } from "./memory.ts";
import { prefill } from "./prefill.ts";
import type { Runtime } from "./runtime.ts";
import type { ScoreOptions, ScoreResult } from "./types.ts";

/**
 * Log-probabilities of the tokens from `contextTokens` on. The context is run first, then the rest
 * is appended to its cache; logits are reduced on the GPU, a block of rows at a time.
 */
export async function score(
  runtime: Runtime,
  tokenIds: Uint32Array<ArrayBuffer>,
  options: ScoreOptions,
): Promise<ScoreResult> {
  const { contextTokens, signal, onPrefill } = options;
  const { gpu, cache, config } = runtime;
  signal?.throwIfAborted();
  checkContext(tokenIds.length, contextTokens, config.contextLength);
  const wanted = tokenIds.length - contextTokens;
  cache.clear();
  const blocks = await LogprobBlocks.create(runtime, tokenIds.slice(contextTokens));
  try {
    const progress = { signal, onProgress: onPrefill, promptTokens: contextTokens };
    const context = tokenIds.slice(0, contextTokens);
    const last = { start: contextTokens - 1, tokens: 1 };
    await prefill(runtime, context, (end) => blocks.add(end, last, 0), {
      ...progress,
      evict: true,
    });
    const report = cacheReport(cache, 1);
    if (wanted > 1) {
      const rest = tokenIds.slice(contextTokens, -1);
      const rows = { start: 0, tokens: rest.length };
      await prefill(runtime, rest, (end) => blocks.add(end, rows, 1), {
        ...progress,
        evict: false,
      });
    }
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

function checkContext(tokens: number, contextTokens: number, limit: number): void {
  if (tokens > limit) throw new ContextLengthError(tokens, limit, "the text");
  if (!Number.isSafeInteger(contextTokens) || contextTokens < 1 || contextTokens >= tokens) {
    const rule = `a whole number from 1 to ${tokens - 1} (the text has ${tokens} tokens)`;
    throw new InvalidOptionError("contextTokens", contextTokens, rule);
  }
}
