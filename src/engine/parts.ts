import { createCache } from "../cache/create-cache.ts";
import { compressedFixedBytes } from "../cache/layout.ts";
import type { ResolvedCacheOptions } from "../cache/options.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import { Conversation } from "./conversation.ts";
import { DecodeLoop } from "./decode-loop.ts";
import { Decoder } from "./decoder.ts";
import type { Runtime } from "./runtime.ts";

/** All of an engine that belongs to one device: others take its place when that is lost. */
export interface EngineParts {
  readonly runtime: Runtime;
  readonly tokenizer: Tokenizer;
  readonly decoder: Decoder;
  readonly loop: DecodeLoop;
  /** `setCache` puts another one in its place. */
  conversation: Conversation;
}

/** Who loads: its signal, and what it wants to hear. */
export interface OpenUse {
  readonly signal?: AbortSignal | undefined;
  readonly onBytes?: (tensorBytes: number) => void;
  readonly onCompiled?: () => void;
}

/**
 * Open a device and load the model on it, from where it was loaded first.
 * @throws as `loadEngine` does; nothing stays allocated then.
 */
export type OpenParts = (cache: ResolvedCacheOptions, use: OpenUse) => Promise<EngineParts>;

export function createParts(runtime: Runtime, tokenizer: Tokenizer): EngineParts {
  return {
    runtime,
    tokenizer,
    decoder: new Decoder(runtime),
    loop: new DecodeLoop(runtime.gpu),
    conversation: new Conversation(runtime.cache, tokenizer),
  };
}

/**
 * Another cache, empty; the old one is let go only when the new one is there.
 * @throws GpuOutOfMemoryError; the signal's reason when aborted: the old one stays then.
 */
export async function replaceCache(
  parts: EngineParts,
  options: ResolvedCacheOptions,
  signal: AbortSignal,
): Promise<void> {
  const { runtime, tokenizer } = parts;
  const { gpu, cache: old, keepsScores } = runtime;
  const bytes = compressedFixedBytes(old.shape, options.windowSize);
  const cache = await gpu.allocating("an empty cache", bytes, () =>
    createCache(gpu, old.shape, options, keepsScores),
  );
  if (signal.aborted) {
    cache.destroy();
    throw signal.reason;
  }
  parts.conversation.forget();
  old.destroy();
  runtime.cache = cache;
  parts.conversation = new Conversation(cache, tokenizer);
  gpu.buffers.resetPeak();
}
