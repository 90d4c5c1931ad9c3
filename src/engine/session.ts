import { Fingerprint } from "../model/fingerprint.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import { InvalidOptionError } from "../errors.ts";
import type { EngineParts } from "./parts.ts";
import type { Runtime } from "./runtime.ts";
import { readSession, writeSession } from "./session-file.ts";
import type { SessionOwner } from "./session-header.ts";
import type { RestoredSession, SaveOptions } from "./types.ts";

const vocabularies = new WeakMap<Tokenizer, string>();

/** Write down what the engine holds. */
export async function saveSession(
  { runtime, tokenizer, conversation, decoder }: EngineParts,
  { note = "", tokenIds, signal }: SaveOptions,
): Promise<Blob> {
  runtime.gpu.throwIfFailed();
  const { seen, unread, endsWithLogits } = conversation;
  const held = [...seen, ...unread];
  if (tokenIds !== undefined && !isSame(tokenIds, held)) {
    throw new InvalidOptionError("tokenIds", "others", "those that the cache holds");
  }
  if (seen.length === 0) throw new InvalidOptionError("what is saved", "nothing", "read first");
  const logits = endsWithLogits ? await decoder.readPromptLogits() : undefined;
  const image = runtime.cache.image();
  const session = { seen: Uint32Array.from(seen), unread, logits, image, note };
  return writeSession(sessionOwner(runtime, tokenizer), session, signal);
}

/** Hold what was saved, once all of it is checked. */
export async function restoreSession(
  parts: EngineParts,
  saved: Blob,
  signal: AbortSignal,
): Promise<RestoredSession> {
  const { runtime, tokenizer, conversation, decoder } = parts;
  const session = await readSession(sessionOwner(runtime, tokenizer), saved, signal);
  const { seen, unread, logits, image, note } = session;
  conversation.forget();
  await runtime.cache.load(image);
  if (logits !== undefined) decoder.writePromptLogits(logits);
  await conversation.adopt([...seen], unread, logits !== undefined);
  return { tokens: seen.length, note };
}

function isSame(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((id, i) => id === b[i]);
}

/** What a saved session has to fit. */
function sessionOwner({ cache, config, weights }: Runtime, tokenizer: Tokenizer): SessionOwner {
  const { policy, windowSize } = cache.options;
  return {
    shape: cache.shape,
    vocabSize: config.vocabSize,
    contextLength: config.contextLength,
    fingerprints: { weights: weights.fingerprint, vocabulary: vocabularyOf(tokenizer) },
    cache: cache.options,
    windowSize,
    hasPositions: policy.scorer !== null,
    hasQueries: policy.scorer?.kind === "window",
  };
}

/** Looked at once, when it is first asked for. */
function vocabularyOf(tokenizer: Tokenizer): string {
  const known = vocabularies.get(tokenizer);
  if (known !== undefined) return known;
  const fingerprint = new Fingerprint();
  for (let id = 0; id < tokenizer.vocabSize; id++) fingerprint.addText(tokenizer.spelling(id));
  vocabularies.set(tokenizer, fingerprint.hex);
  return fingerprint.hex;
}
