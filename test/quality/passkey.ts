import type { Tokenizer } from "../../src/text/tokenizer.ts";
import { type Document, DOCUMENTS, documentTokens } from "./documents.ts";

/** A number to be remembered, somewhere in a text. */
export interface Passkey {
  readonly document: Document;
  /** Where in the text: 0 at its start, 1 at its end. */
  readonly depth: number;
  readonly digits: string;
}

const QUESTION = "What is the pass key?";

const asking = (name: string): Document => ({
  ...(DOCUMENTS.find((document) => document.name === name) as Document),
  question: QUESTION,
});

const DEPTHS = [0.1, 0.3, 0.5, 0.7, 0.9];

/** Two keys at every depth. */
export const PASSKEYS: readonly Passkey[] = [
  ["kiln", ["71942", "38506", "60275", "94183", "25731"]],
  ["orchard", ["50819", "83264", "17590", "42608", "69357"]],
].flatMap(([name, keys]) =>
  DEPTHS.map((depth, i) => ({ document: asking(name as string), depth, digits: keys[i] })),
);

/** A passkey's text as token ids. */
export interface PasskeyTokens {
  readonly prompt: readonly number[];
  readonly question: readonly number[];
  /** The answer up to the number. */
  readonly lead: readonly number[];
  readonly digits: readonly number[];
}

export function passkeyTokens(
  tokenizer: Tokenizer,
  { document, depth, digits }: Passkey,
  promptTokens: number,
): PasskeyTokens {
  const needle = tokenizer.encode(`\n\nThe pass key is ${digits}. Remember it.\n\n`);
  const { prompt, question } = documentTokens(tokenizer, document, promptTokens - needle.length, 0);
  const at = Math.round(depth * prompt.length);
  const answer = [...tokenizer.encode(`The pass key is ${digits}`)];
  const digitIds = answer.slice(-digits.length);
  for (const [i, id] of digitIds.entries()) {
    if (new TextDecoder().decode(tokenizer.tokenBytes(id)) === digits[i]) continue;
    throw new Error("the tokenizer doesn't take digits one by one");
  }
  return {
    prompt: [...prompt.slice(0, at), ...needle, ...prompt.slice(at)],
    question,
    lead: answer.slice(0, -digits.length),
    digits: digitIds,
  };
}
