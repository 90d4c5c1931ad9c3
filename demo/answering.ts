import { DeviceLostError, type Engine, type Prompt } from "../src/index.ts";
import { finalFigures, startAnswerClock } from "./answer-figures.ts";
import { toMessages, type Turn } from "./conversation.ts";
import { describeAnswerProblem, endsEngine } from "./problem.ts";
import type { Reopening } from "./reopening.ts";
import { type Settings, toCacheOptions, toSampling } from "./settings.ts";

/** What an answer needs beside the engine and the conversation. */
export interface AnswerOptions {
  readonly settings: Settings;
  readonly signal: AbortSignal;
  /** Most tokens of the answer; undefined leaves it to the engine. */
  readonly maxTokens: number | undefined;
  /** Write on where the answer ended, instead of making it anew. */
  readonly goOn: boolean;
  /** What became of the saved cache that the answer was to go on from. */
  readonly reopening: Reopening | undefined;
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
  { settings, signal, maxTokens, goOn, reopening, onChange }: AnswerOptions,
): Promise<void> {
  const turn = turns.at(-1);
  if (turn === undefined) return;
  if (!goOn) Object.assign(turn, { answer: "", answerTokenIds: [], attempt: turn.attempt + 1 });
  Object.assign(turn, { state: "reading", figures: {}, cutAtLimit: false, problem: undefined });
  onChange();
  try {
    signal.throwIfAborted();
    if (!goOn && settings.followUp === "read-again" && turns.length > 1) {
      await engine.setCache(toCacheOptions(settings, engine.config.numLayers));
    }
    const messages = toMessages(turns, settings.systemPrompt);
    let prompt: Prompt = messages;
    if (goOn) {
      const { tokenIds } = await engine.previewPrompt(messages);
      prompt = [...tokenIds, ...turn.answerTokenIds];
    }
    const clock = startAnswerClock(performance.now());
    const generation = engine.generate(prompt, {
      ...toSampling(settings),
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
      turn.answerTokenIds.push(...piece.tokenIds);
      turn.figures = clock.piece(piece, performance.now());
      onChange();
    }
    const result = await generation.result;
    turn.figures = finalFigures(result);
    turn.cutAtLimit = result.finishReason === "length";
    const { memory, cache, usage } = result;
    turn.cache = {
      ...{ report: cache, kv: memory.kv, cachedTokens: usage.cachedTokens },
      ...(reopening === undefined ? {} : { reopening }),
    };
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
      turn.problem = describeAnswerProblem(error, turns.length === 1, turn.documents.length > 0);
    }
  } finally {
    onChange();
  }
}
