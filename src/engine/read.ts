import { ContextLengthError, GpuOutOfMemoryError, InvalidOptionError } from "../errors.ts";
import { resolveSampling } from "../sampling/options.ts";
import { undoOf } from "./generate.ts";
import type { EngineParts } from "./parts.ts";
import { prefillPrompt } from "./prefill-prompt.ts";
import { promptTokens } from "./prompt-tokens.ts";
import { withSmallerPlan } from "./smaller-plan.ts";
import type { Prompt } from "./generate-types.ts";
import type { ReadOptions, ReadResult } from "./types.ts";

/** Read a prompt into the cache without answering it; when this throws, the cache is as it was before. */
export async function read(
  parts: EngineParts,
  prompt: Prompt,
  options: ReadOptions,
): Promise<ReadResult> {
  const { runtime, tokenizer, conversation, decoder } = parts;
  const { signal, onPrefill } = options;
  signal?.throwIfAborted();
  const { contextLength } = runtime.config;
  const reuse = conversation.find(promptTokens(tokenizer, prompt, false));
  const { tokenIds, tokens: cachedTokens } = reuse;
  const promptTokenCount = tokenIds.length;
  if (promptTokenCount === 0) throw new InvalidOptionError("prompt", "none", "at least one token");
  if (promptTokenCount > contextLength) {
    throw new ContextLengthError(promptTokenCount, contextLength, "the prompt");
  }
  const sampling = resolveSampling({}, runtime.config.vocabSize); // a first token is chosen along with the logits; nobody reads it
  const undo = await undoOf(parts);
  try {
    await conversation.begin(reuse);
    decoder.begin(tokenIds, tokenizer.eosTokenIds);
    await prefillPrompt(runtime, decoder, reuse, { sampling, signal, onPrefill });
    await runtime.gpu.idle();
    await conversation.prompted(tokenIds);
    conversation.answered([], 0);
  } catch (error) {
    await undo();
    if (!(error instanceof GpuOutOfMemoryError)) throw error;
    throw await withSmallerPlan(runtime, error, promptTokenCount);
  } finally {
    runtime.tracer?.leave();
  }
  return { promptTokenIds: [...tokenIds], promptTokens: promptTokenCount, cachedTokens };
}
