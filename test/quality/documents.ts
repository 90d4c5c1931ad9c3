import { readFileSync } from "node:fs";
import type { Tokenizer } from "../../src/text/tokenizer.ts";

/** What a text is. */
export type TextKind = "prose" | "code" | "dialogue" | "table";

/** A text to be read, continued and asked about. */
export interface Document {
  readonly name: string;
  readonly kind: TextKind;
  /** Path from this folder. */
  readonly file: string;
  /** Tokens of the file that are left out at its start. */
  readonly skip?: number;
  readonly question: string;
}

const SUMMARY = "Summarize the text above in a few sentences.";
const CODE = "Explain in detail what the code above does.";
const TALK = "Who takes part in the conversation above, and what is it about?";
const TABLE = "Describe the table above: what does it list, and which values stand out?";

/** Sorted so that a run which is broken off has seen every kind. */
export const DOCUMENTS: readonly Document[] = [
  { name: "weir", kind: "prose", file: "../golden/text/prose.txt", question: SUMMARY },
  { name: "scheduler", kind: "code", file: "../golden/text/code.txt", question: CODE },
  { name: "garage", kind: "dialogue", file: "../golden/text/dialogue.txt", question: TALK },
  { name: "harbours", kind: "table", file: "../golden/text/table.txt", question: TABLE },
  { name: "kiln", kind: "prose", file: "texts/prose-kiln.txt", question: SUMMARY },
  { name: "budget", kind: "code", file: "texts/code-budget.txt", question: CODE },
  { name: "orchard", kind: "dialogue", file: "texts/dialogue-orchard.txt", question: TALK },
  { name: "trails", kind: "table", file: "texts/table-trails.txt", question: TABLE },
  { name: "weir-2", kind: "prose", file: "../golden/text/prose.txt", skip: 836, question: SUMMARY },
  { name: "reference", kind: "code", file: "texts/code-reference.txt", question: CODE },
  { name: "support", kind: "dialogue", file: "texts/dialogue-support.txt", question: TALK },
  { name: "warehouse", kind: "table", file: "texts/table-warehouse.txt", question: TABLE },
];

/** A document as token ids, laid out as the start of a user's message. */
export interface DocumentTokens {
  /** The chat template's start and the text: `promptTokens` ids. */
  readonly prompt: readonly number[];
  /** How the text goes on. */
  readonly continuation: readonly number[];
  /** The question, and the start of the answer. */
  readonly question: readonly number[];
}

/** Read a document: so many tokens of prompt, and so many that follow. */
export function documentTokens(
  tokenizer: Tokenizer,
  { name, file, skip = 0, question }: Document,
  promptTokens: number,
  continuationTokens: number,
): DocumentTokens {
  const text = readFileSync(new URL(file, import.meta.url), "utf8");
  const start = messageStart(tokenizer);
  const end = promptTokens - start.length;
  const ids = [...tokenizer.encode(text)].slice(skip, skip + end + continuationTokens);
  if (ids.length < end + continuationTokens) {
    throw new Error(`"${name}" has only ${ids.length} tokens, ${end + continuationTokens} wanted`);
  }
  return {
    prompt: [...start, ...ids.slice(0, end)],
    continuation: ids.slice(end),
    question: questionTokens(tokenizer, question),
  };
}

/** What the chat template puts before a user's first message. */
export function messageStart(tokenizer: Tokenizer): number[] {
  const [start] = aroundMessage(tokenizer);
  return start;
}

/** A question at the end of a message, and what the chat template puts before the answer. */
export function questionTokens(tokenizer: Tokenizer, question: string): number[] {
  const [, end] = aroundMessage(tokenizer);
  return [...tokenizer.encode(`\n\n${question}`), ...end];
}

function aroundMessage(tokenizer: Tokenizer): [start: number[], end: number[]] {
  const mark = tokenizer.encode("~");
  const ids = [
    ...tokenizer.encodeChat([{ role: "user", content: "~" }], { addGenerationPrompt: true }),
  ];
  const at = ids.lastIndexOf(mark[0] as number);
  if (mark.length !== 1 || at < 0) throw new Error("the chat template changes the message");
  return [ids.slice(0, at), ids.slice(at + 1)];
}
