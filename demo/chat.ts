import { openUrlSource, type Engine } from "../src/index.ts";
import { answerLastTurn } from "./answering.ts";
import { openTurn, type ChatState, type ModelChoice } from "./chat-state.ts";
import { createTurn, type Turn } from "./conversation.ts";
import { checkDevice } from "./device-check.ts";
import { loadModel, NO_FIGURES } from "./model-loading.ts";
import { describeAnswerProblem, describeLoadProblem } from "./problem.ts";

/** What the user can do; views call it and show `state` when told that it has changed. */
export interface Chat {
  readonly state: ChatState;
  /** Most tokens of an answer; undefined leaves it to the engine. */
  maxTokens: number | undefined;
  /** Look at the device, and ask the server about the model on offer. */
  start(): Promise<void>;
  /** Load a model in place of the one that is there. */
  load(choice: ModelChoice): Promise<void>;
  /** Load what failed again; where that was no usable file, the model on offer. */
  loadAgain(): Promise<void>;
  /** Give up loading. */
  cancelLoad(): void;
  /** Put the model away and offer the choice again. */
  putModelAway(): Promise<void>;
  /** Ask; the answer waits for the model where there is none yet. Refused while one is open. */
  ask(question: string): boolean;
  /** Stop the answer that is being made, or waits; what came until then stays. */
  stop(): void;
  /** Make the last answer again. */
  answerAgain(): void;
  /** Take the last question out of the conversation, to be sent otherwise. */
  takeBackQuestion(): string;
  /** Begin anew; the conversation so far can be brought back. */
  newConversation(): void;
  /** Bring back the conversation that was put aside. */
  bringBack(): void;
}

/** The page's logic, without a view. */
export function createChat(offered: ModelChoice, onChange: () => void): Chat {
  const state: ChatState = {
    device: undefined,
    offer: { choice: offered, bytes: undefined, missing: undefined },
    model: { step: "none" },
    turns: [],
    putAside: [],
  };
  let nextTurnId = 1;
  let loading: AbortController | undefined;
  let answering: AbortController | undefined;
  /** Loads and answers come one after the other: a new one waits here for the one that it ended. */
  let work: Promise<void> = Promise.resolve();

  const update = (patch: Partial<ChatState>): void => {
    Object.assign(state, patch);
    onChange();
  };

  const chat: Chat = {
    state,
    maxTokens: undefined,

    async start() {
      update({ device: await checkDevice() });
      if (state.device?.problem !== undefined || !(offered.source instanceof URL)) return;
      try {
        const { size } = await openUrlSource(offered.source);
        update({ offer: { ...state.offer, bytes: size } });
      } catch (error) {
        update({ offer: { ...state.offer, missing: describeLoadProblem(error).happened } });
      }
    },

    load(choice) {
      if (state.device === undefined || state.device.problem !== undefined)
        return Promise.resolve();
      const waiting = openTurn(state)?.state === "waiting";
      if (!waiting) chat.stop();
      loading?.abort();
      const own = new AbortController();
      loading = own;
      const old = takeEngine();
      update({ model: { step: "loading", choice, figures: NO_FIGURES } });
      return enqueue(() => loadNow(choice, own, old));
    },

    loadAgain() {
      const { model } = state;
      const again = model.step === "failed" && model.problem.remedy === "load-again";
      return chat.load(again ? model.choice : offered);
    },

    cancelLoad() {
      if (loading === undefined) return;
      loading.abort();
      loading = undefined;
      if (openTurn(state)?.state === "waiting") chat.stop();
      update({ model: { step: "none" } });
    },

    putModelAway() {
      chat.stop();
      const engine = takeEngine();
      update({ model: { step: "none" } });
      return enqueue(async () => engine?.destroy());
    },

    ask(question) {
      if (openTurn(state) !== undefined || state.device === undefined) return false;
      update({ turns: [...state.turns, createTurn(nextTurnId++, question)] });
      answerOrLoad();
      return true;
    },

    stop() {
      answering?.abort();
      const turn = openTurn(state);
      if (turn?.state === "waiting") turn.state = "stopped";
      onChange();
    },

    answerAgain() {
      const turn = state.turns.at(-1);
      if (turn === undefined || openTurn(state) !== undefined) return;
      turn.state = "waiting";
      onChange();
      answerOrLoad();
    },

    takeBackQuestion() {
      const turn = state.turns.at(-1);
      if (turn === undefined || openTurn(state) !== undefined) return "";
      update({ turns: state.turns.slice(0, -1) });
      return turn.question;
    },

    newConversation() {
      chat.stop();
      if (state.turns.length > 0) update({ turns: [], putAside: state.turns });
    },

    bringBack() {
      chat.stop();
      update({ turns: state.putAside, putAside: state.turns });
    },
  };
  return chat;

  function answerOrLoad(): void {
    if (state.model.step === "ready") answerNow(state.model.engine, state.turns);
    else if (state.model.step !== "loading") void chat.loadAgain();
  }

  function answerNow(engine: Engine, turns: readonly Turn[]): void {
    const own = new AbortController();
    answering = own;
    const options = { signal: own.signal, maxTokens: chat.maxTokens, onChange };
    void enqueue(async () => {
      try {
        await answerLastTurn(engine, turns, options);
      } catch (error) {
        failModel(error);
      }
    });
  }

  function enqueue(job: () => Promise<void>): Promise<void> {
    work = work.then(job).catch(reportError);
    return work;
  }

  async function loadNow(
    choice: ModelChoice,
    own: AbortController,
    old: Engine | undefined,
  ): Promise<void> {
    await old?.destroy();
    try {
      const engine = await loadModel(choice, own.signal, (figures) => {
        if (loading === own) update({ model: { step: "loading", choice, figures } });
      });
      loading = undefined;
      update({ model: { step: "ready", choice, engine } });
      if (openTurn(state)?.state === "waiting") answerNow(engine, state.turns);
    } catch (error) {
      if (loading !== own) return;
      loading = undefined;
      update({ model: { step: "failed", choice, problem: describeLoadProblem(error) } });
    }
  }

  /** An answer ended the engine: it is of no more use. */
  function failModel(error: unknown): void {
    if (state.model.step !== "ready") return;
    const { choice } = state.model;
    void takeEngine()?.destroy();
    update({ model: { step: "failed", choice, problem: describeAnswerProblem(error, false) } });
  }

  function takeEngine(): Engine | undefined {
    if (state.model.step !== "ready") return undefined;
    const { engine } = state.model;
    state.model = { step: "none" };
    return engine;
  }
}
