import { DeviceLostError, type Engine } from "../src/index.ts";
import { finalFigures, startAnswerClock } from "./answer-figures.ts";
import { toMessages, type Turn } from "./conversation.ts";
import { describeAnswerProblem, endsEngine } from "./problem.ts";

/** What an answer needs beside the engine and the conversation. */
export interface AnswerOptions {
  readonly signal: AbortSignal;
  /** Most tokens of the answer; undefined leaves it to the engine. */
  readonly maxTokens: number | undefined;
  /** Called whenever the turn has changed. */
  readonly onChange: () => void;
}

/**
 * Answer the last of `turns`, in place. Whatever ends it, the text that came until then stays.
 * @throws what ended the engine with it; after a lost device an answer that hadn't begun waits for the next
 */
export async function answerLastTurn(
  engine: Engine,
  turns: readonly Turn[],
  { signal, maxTokens, onChange }: AnswerOptions,
): Promise<void> {
  const turn = turns.at(-1);
  if (turn === undefined) return;
  const clock = startAnswerClock(performance.now());
  Object.assign(turn, { state: "reading", answer: "", attempt: turn.attempt + 1, figures: {} });
  Object.assign(turn, { cutAtLimit: false, problem: undefined });
  onChange();
  try {
    const generation = engine.generate(toMessages(turns), {
      signal,
      ...(maxTokens === undefined ? {} : { maxTokens }),
      onPrefill(progress) {
        turn.figures = clock.prefilled(progress, performance.now());
        onChange();
      },
    });
    for await (const piece of generation) {
      turn.state = "writing";
      turn.answer += piece.text;
      turn.figures = clock.piece(piece, performance.now());
      onChange();
    }
    const result = await generation.result;
    turn.figures = finalFigures(result);
    turn.cutAtLimit = result.finishReason === "length";
    turn.state = "done";
  } catch (error) {
    if (signal.aborted) {
      turn.state = "stopped";
    } else if (endsEngine(error)) {
      const waits = error instanceof DeviceLostError && turn.answer === "";
      turn.state = waits ? "waiting" : "failed";
      throw error;
    } else {
      turn.state = "failed";
      turn.problem = describeAnswerProblem(error, turns.length === 1);
    }
  } finally {
    onChange();
  }
}
