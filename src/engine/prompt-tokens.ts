import { InvalidOptionError } from "../errors.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import type { Prompt } from "./generate-types.ts";

/**
 * Token ids of a prompt: a raw text as it is, a conversation through the chat template, with what
 * makes the model answer unless `addGenerationPrompt` is false.
 * @throws InvalidOptionError for ids outside the vocabulary, ChatTemplateError
 */
export function promptTokens(
  tokenizer: Tokenizer,
  prompt: Prompt,
  addGenerationPrompt: boolean = true,
): Uint32Array<ArrayBuffer> {
  if (typeof prompt !== "string") {
    if (isTokenIds(prompt)) return checkedTokenIds(prompt, tokenizer.vocabSize);
    return Uint32Array.from(tokenizer.encodeChat(prompt, { addGenerationPrompt }));
  }
  const ids = tokenizer.encode(prompt);
  const { addBos, bosTokenId } = tokenizer;
  const start = addBos && bosTokenId !== undefined ? [bosTokenId] : [];
  return Uint32Array.from([...start, ...ids]);
}

function isTokenIds(prompt: Exclude<Prompt, string>): prompt is readonly number[] {
  return Array.isArray(prompt) && typeof prompt[0] === "number";
}

/** @throws InvalidOptionError for ids outside the vocabulary. */
export function checkedTokenIds(
  ids: readonly number[],
  vocabSize: number,
): Uint32Array<ArrayBuffer> {
  const wrong = ids.find((id) => !Number.isInteger(id) || id < 0 || id >= vocabSize);
  if (wrong !== undefined) {
    throw new InvalidOptionError("token id", wrong, `from 0 to ${vocabSize - 1}`);
  }
  return Uint32Array.from(ids);
}
