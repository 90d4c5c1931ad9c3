import type { Decoder } from "./decoder.ts";
import { prefill } from "./prefill.ts";
import type { Runtime } from "./runtime.ts";
import type { PrefillProgress } from "./types.ts";
import type { ResolvedSampling } from "../sampling/options.ts";

interface PromptOptions {
  readonly sampling: ResolvedSampling;
  readonly signal?: AbortSignal | undefined;
  readonly onPrefill?: ((progress: PrefillProgress) => void) | undefined;
}

/**
 * Read the part of a prompt that the cache has not seen, and choose the first token of the answer.
 * Where the hidden states of all of it don't fit, it is read in several passes, each compressed
 * before the next: budgets come from the whole prompt, but a pass is ranked without what follows.
 */
export async function prefillPrompt(
  runtime: Runtime,
  decoder: Decoder,
  promptTokenIds: Uint32Array<ArrayBuffer>,
  cachedTokens: number,
  { sampling, signal, onPrefill }: PromptOptions,
): Promise<{ readonly passes: number }> {
  const total = promptTokenIds.length - cachedTokens;
  if (total === 0) {
    decoder.chooseAgain(sampling);
    return { passes: 0 };
  }
  const { passTokens } = runtime;
  const passes = Math.ceil(total / passTokens);
  for (let done = 0; done < total; done += passTokens) {
    const ids = promptTokenIds.slice(cachedTokens + done, cachedTokens + done + passTokens);
    const isLast = done + ids.length === total;
    await prefill(
      runtime,
      ids,
      async ({ recorder, hidden, submit }) => {
        if (!isLast) return;
        decoder.recordFirst(recorder, hidden, ids.length - 1, sampling);
        await submit();
      },
      {
        signal,
        promptTokens: promptTokenIds.length,
        evict: true,
        onProgress: ({ doneTokens }) =>
          onPrefill?.({ doneTokens: done + doneTokens, totalTokens: total }),
      },
    );
  }
  return { passes };
}
