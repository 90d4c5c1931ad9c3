import type { ChatMessage } from "../src/index.ts";
import type { AnswerFigures } from "./answer-figures.ts";
import type { Problem } from "./problem.ts";

/**
 * Where an answer stands. `waiting`: for the model to be loaded; `reading`: the conversation is
 * prefilled; `writing`: it streams; `stopped`: by the user, what came until then stays.
 */
export type AnswerState = "waiting" | "reading" | "writing" | "done" | "stopped" | "failed";

/** A question and its answer. */
export interface Turn {
  readonly id: number;
  readonly question: string;
  answer: string;
  state: AnswerState;
  /** Counts the attempts, so that a view knows when an answer starts afresh. */
  attempt: number;
  figures: AnswerFigures;
  /** The answer reached the limit of tokens. */
  cutAtLimit: boolean;
  /** Why it failed, where something can be done about it in its place. */
  problem: Problem | undefined;
}

/** A turn whose answer hasn't begun. */
export function createTurn(id: number, question: string): Turn {
  return {
    id,
    question,
    answer: "",
    state: "waiting",
    attempt: 0,
    figures: {},
    cutAtLimit: false,
    problem: undefined,
  };
}

/** Whether the engine works on it now. */
export function isAnswering(turn: Turn): boolean {
  return turn.state === "reading" || turn.state === "writing";
}

/**
 * The conversation as the model is to see it, ending in the question of the last turn. A question that
 * was stopped before its answer began is put before the next one: templates want roles to alternate.
 */
export function toMessages(turns: readonly Turn[]): ChatMessage[] {
  const messages: ChatMessage[] = [];
  for (const turn of turns) {
    const last = messages.at(-1);
    if (last?.role === "user") {
      messages[messages.length - 1] = {
        role: "user",
        content: `${last.content}\n\n${turn.question}`,
      };
    } else {
      messages.push({ role: "user", content: turn.question });
    }
    if (turn.answer !== "" && turn !== turns.at(-1)) {
      messages.push({ role: "assistant", content: turn.answer });
    }
  }
  return messages;
}
