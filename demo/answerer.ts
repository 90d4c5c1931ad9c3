import type { Engine } from "../src/index.ts";
import { answerLastTurn } from "./answering.ts";
import { type ChatState, isBusy, openTurn } from "./chat-state.ts";
import { compareAnswers, createComparison } from "./comparison.ts";
import type { ModelSlot } from "./model-slot.ts";

/** Lets the engine answer the last question, and ends what it answers. */
export interface Answerer {
  /** Answer the last question, or write on where its answer ended, when what runs has ended. */
  answer(goOn: boolean): void;
  /** Answer it with the full cache and with the compressed one, side by side. */
  compare(): void;
  /** Stop what is being made, or waits; what came until then stays. */
  stop(): void;
}

interface AnswererOptions {
  readonly state: ChatState;
  readonly slot: ModelSlot;
  readonly update: (patch: Partial<ChatState>) => void;
  /** As they are when an answer begins. */
  readonly limits: { readonly maxTokens: number | undefined };
  /** Bring the cache to where the conversation is, as far as something knows of it. */
  readonly beforeAnswer: (engine: Engine) => Promise<void>;
}

/** One that has nothing to do yet. */
export function createAnswerer(options: AnswererOptions): Answerer {
  const { state, slot, update, limits, beforeAnswer } = options;
  const onChange = (): void => update({});
  let answering: AbortController | undefined;

  return {
    answer(goOn) {
      const { turns, model, conversationId } = state;
      const turn = turns.at(-1);
      if (turn === undefined || model.step !== "ready") return;
      const own = new AbortController();
      answering = own;
      turn.answeredBy = model.choice.name;
      slot.use(async (engine) => {
        await beforeAnswer(engine);
        await answerLastTurn(engine, turns, {
          settings: state.settings,
          signal: own.signal,
          maxTokens: limits.maxTokens,
          goOn,
          reopening: state.reopening,
          onChange,
        });
        // A broken-off answer leaves the cache as it was.
        if (turn.state !== "done") return;
        // From now on the turn says how it began.
        update({ held: { conversationId, turnId: turn.id }, reopening: undefined });
      });
    },

    compare() {
      const { turns, settings, model } = state;
      const turn = turns.at(-1);
      if (turn === undefined || isBusy(state) || model.step !== "ready") return;
      const comparison = createComparison(turn, settings, model.engine.config.numLayers);
      const { signal } = (answering = new AbortController());
      const { maxTokens } = limits;
      update({ comparison, undo: undefined });
      slot.use((engine) =>
        compareAnswers(engine, comparison, { turns, settings, signal, maxTokens, onChange }),
      );
    },

    stop() {
      answering?.abort();
      // One that hasn't begun yet has nothing to abort.
      if (state.comparison?.state === "running") state.comparison.state = "stopped";
      const turn = openTurn(state);
      if (turn?.state === "waiting") turn.state = "stopped";
      onChange();
    },
  };
}
