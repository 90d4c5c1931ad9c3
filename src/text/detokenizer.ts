import type { Tokenizer } from "./tokenizer.ts";

/**
 * Turns tokens into text as they come. A character whose bytes are spread over tokens is held back until it is whole;
 * bytes that are no UTF-8 become U+FFFD, exactly as if all bytes were decoded at once. Work per token is
 * proportional to its bytes.
 */
export class StreamingDetokenizer {
  readonly #tokenizer: Pick<Tokenizer, "tokenBytes">;
  // A byte order mark is text that the model wrote, so it stays.
  readonly #decoder = new TextDecoder("utf-8", { ignoreBOM: true });

  constructor(tokenizer: Pick<Tokenizer, "tokenBytes">) {
    this.#tokenizer = tokenizer;
  }

  /** The text that this token completes, often "" inside a character; control tokens give "". */
  push(tokenId: number): string {
    return this.#decoder.decode(this.#tokenizer.tokenBytes(tokenId), { stream: true });
  }

  /** Ends the text: a character that was left incomplete comes out as U+FFFD. The next `push` starts afresh. */
  flush(): string {
    return this.#decoder.decode();
  }
}

/** The text of each token, for showing them one by one; an incomplete character at the end is left out. */
export function spellTokens(
  tokenizer: Pick<Tokenizer, "tokenBytes" | "isControl" | "spelling">,
  tokenIds: Iterable<number>,
): string[] {
  const detokenizer = new StreamingDetokenizer(tokenizer);
  return Array.from(tokenIds, (id) =>
    tokenizer.isControl(id) ? tokenizer.spelling(id) : detokenizer.push(id),
  );
}
