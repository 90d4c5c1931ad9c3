import type { ResolvedSampling } from "../sampling/options.ts";
import type { Reuse } from "./conversation.ts";
import type { Decoder } from "./decoder.ts";
import { prefill, type PrefillEnd, type PrefillOptions } from "./prefill.ts";
import { type Runtime, writeState } from "./runtime.ts";
import type { PrefillProgress } from "./generate-types.ts";

/** Which of the tokens a pass reads: so many from index `first` on. */
export interface Pass {
  readonly first: number;
  readonly tokens: number;
  readonly isLast: boolean;
}

/**
 * Prefill tokens, in several passes where the hidden states of all of them don't fit, each compressed
 * before the next: budgets come from the whole prompt, but a pass is ranked without what follows.
 * Returns the number of passes.
 */
export async function prefillPasses(
  runtime: Runtime,
  tokenIds: Uint32Array<ArrayBuffer>,
  finish: (end: PrefillEnd, pass: Pass) => Promise<void>,
  options: PrefillOptions,
): Promise<number> {
  const { passTokens } = runtime;
  const total = tokenIds.length;
  for (let first = 0; first < total; first += passTokens) {
    const ids = tokenIds.slice(first, first + passTokens);
    const pass = { first, tokens: ids.length, isLast: first + ids.length === total };
    await prefill(runtime, ids, (end) => finish(end, pass), {
      ...options,
      onProgress: ({ doneTokens }) =>
        options.onProgress?.({ doneTokens: first + doneTokens, totalTokens: total }),
    });
  }
  return Math.ceil(total / passTokens);
}

interface PromptOptions {
  readonly sampling: ResolvedSampling;
  readonly signal?: AbortSignal | undefined;
  readonly onPrefill?: ((progress: PrefillProgress) => void) | undefined;
}

/**
 * Read the part of a prompt that the cache has not seen, and choose the first token of the answer.
 * Where it has seen all of it, the logits of the prompt's last token are there still.
 */
export async function prefillPrompt(
  runtime: Runtime,
  decoder: Decoder,
  { tokenIds, tokens: cachedTokens }: Reuse,
  { sampling, signal, onPrefill }: PromptOptions,
): Promise<{ readonly passes: number }> {
  if (cachedTokens === tokenIds.length) {
    decoder.chooseAgain(sampling);
    return { passes: 0 };
  }
  const choose = async (
    { recorder, hidden, submit }: PrefillEnd,
    { tokens, isLast }: Pass,
  ): Promise<void> => {
    if (!isLast) return;
    decoder.recordFirst(recorder, hidden, tokens - 1, sampling);
    await submit();
  };
  const options = { signal, promptTokens: tokenIds.length, evict: true, onProgress: onPrefill };
  return { passes: await prefillPasses(runtime, tokenIds.slice(cachedTokens), choose, options) };
}

/**
 * Read what there is of an answer behind its prompt, as decode had appended it, and choose its next token:
 * the one that would have come. Where the cache has no more room it is compressed, as it was then.
 */
export async function readAnswer(
  runtime: Runtime,
  decoder: Decoder,
  answer: readonly number[],
  promptTokens: number,
  { sampling, signal }: PromptOptions,
): Promise<void> {
  const { cache } = runtime;
  const total = answer.length;
  for (let first = 0, end = 0; first < total; first = end) {
    if (cache.room() === 0) await cache.makeRoom(cache.tokens);
    end = Math.min(first + cache.room(), total);
    const choose = async ({ recorder, hidden, submit }: PrefillEnd, pass: Pass): Promise<void> => {
      if (!pass.isLast || end < total) return;
      writeState(runtime, promptTokens + total, total);
      decoder.recordNext(recorder, hidden, pass.tokens - 1, sampling);
      await submit();
    };
    const options = { signal, promptTokens, evict: false };
    await prefillPasses(runtime, Uint32Array.from(answer.slice(first, end)), choose, options);
  }
}
