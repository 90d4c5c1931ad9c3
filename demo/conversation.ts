import type { CacheReport, ChatMessage, MemoryReport } from "../src/index.ts";
import type { AnswerFigures } from "./answer-figures.ts";
import type { Problem } from "./problem.ts";
import type { Reopening } from "./reopening.ts";
import { NO_OTHERS, type OtherVersions } from "./versions.ts";

/**
 * Where an answer stands. `waiting`: for the model to be loaded; `reading`: the conversation is
 * prefilled; `writing`: it streams; `stopped`: by the user, what came until then stays.
 */
export type AnswerState = "waiting" | "reading" | "writing" | "done" | "stopped" | "failed";

/** A long text that goes with a question: pasted, dropped, or one of the page's own. */
export interface TextDocument {
  readonly name: string;
  readonly text: string;
}

/** A fact that is hidden in a document, and what an answer that found it says. */
export interface Needle {
  readonly fact: string;
  readonly answer: string;
}

/** What a question is made of. */
export interface Question {
  readonly text: string;
  readonly documents: readonly TextDocument[];
  readonly needle?: Needle;
}

/** What the cache was like when an answer was complete. */
export interface CacheAtEnd {
  readonly report: Pick<CacheReport, "policy" | "kvDtype" | "tokens" | "evicted">;
  readonly kv: Pick<MemoryReport["kv"], "allocated" | "full" | "peak">;
  /** Tokens of the prompt that were in the cache from the turns before. */
  readonly cachedTokens: number;
  /** Where a saved cache was to be opened first: what became of it. */
  readonly reopening?: Reopening;
}

/** A question and its answer. */
export interface Turn extends Question {
  readonly id: number;
  answer: string;
  /** Tokens of the answer, to go on from. */
  answerTokenIds: number[];
  /** The model whose tokens these are; undefined before the first answer. */
  answeredBy: string | undefined;
  state: AnswerState;
  /** Counts the attempts, so that a view knows when an answer starts afresh. */
  attempt: number;
  figures: AnswerFigures;
  /** The answer reached the limit of tokens. */
  cutAtLimit: boolean;
  cache: CacheAtEnd | undefined;
  /** Why it failed, where something can be done about it in its place. */
  problem: Problem | undefined;
  /** Those of the place where it is shown. */
  others: OtherVersions;
}

/** A turn whose answer hasn't begun. */
export function createTurn(id: number, question: Question): Turn {
  return {
    ...question,
    id,
    answer: "",
    answerTokenIds: [],
    answeredBy: undefined,
    state: "waiting",
    attempt: 0,
    figures: {},
    cutAtLimit: false,
    cache: undefined,
    problem: undefined,
    others: NO_OTHERS,
  };
}

/** Whether the engine works on it now. */
export function isAnswering(turn: Turn): boolean {
  return turn.state === "reading" || turn.state === "writing";
}

/** A question as the model sees it: the documents first, so that their last words are the question's. */
export function questionContent({ text, documents }: Question): string {
  return [...documents.map((document) => document.text), text]
    .filter((part) => part !== "")
    .join("\n\n");
}

/**
 * The conversation as the model is to see it, ending in the question of the last turn. A question that
 * was stopped before its answer began is put before the next one: templates want roles to alternate.
 */
export function toMessages(turns: readonly Turn[], systemPrompt: string = ""): ChatMessage[] {
  const messages: ChatMessage[] =
    systemPrompt === "" ? [] : [{ role: "system", content: systemPrompt }];
  for (const turn of turns) {
    const content = questionContent(turn);
    const last = messages.at(-1);
    if (last?.role === "user") {
      messages[messages.length - 1] = { role: "user", content: `${last.content}\n\n${content}` };
    } else {
      messages.push({ role: "user", content });
    }
    if (turn.answer !== "" && turn !== turns.at(-1)) {
      messages.push({ role: "assistant", content: turn.answer });
    }
  }
  return messages;
}
