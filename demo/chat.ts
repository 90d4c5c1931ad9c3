import { openUrlSource } from "../src/index.ts";
import { answerLastTurn } from "./answering.ts";
import { type ChatState, isBusy, type ModelChoice, openTurn } from "./chat-state.ts";
import { compareAnswers, createComparison } from "./comparison.ts";
import type { Question, Turn } from "./conversation.ts";
import { checkDevice } from "./device-check.ts";
import { fitDocument } from "./fit-document.ts";
import { foretellQuestion } from "./forecast.ts";
import type { StoredTurn } from "./history/stored-conversation.ts";
import { dropKept, findKept } from "./kept-models.ts";
import { createModelSlot } from "./model-slot.ts";
import { describeLoadProblem } from "./problem.ts";
import { previewTurn, type ReadingCost } from "./reading-cost.ts";
import { halveBudget, type Settings } from "./settings.ts";
import { createTurnList } from "./turn-list.ts";

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
  /** Load again with a cache of half the size; the open question is answered then. */
  loadWithLess(): Promise<void>;
  /** Delete the copy of the model on offer that is kept on this device. */
  dropKept(): Promise<void>;
  /** Give up loading. */
  cancelLoad(): void;
  /** Put the model away and offer the choice again. */
  putModelAway(): Promise<void>;
  /** Change settings: the cache's come into force when the answer in work is complete. */
  changeSettings(patch: Partial<Settings>): void;
  /** Ask; the answer waits for the model where there is none yet. Refused while one is open. */
  ask(question: Question): boolean;
  /** Stop the answer that is being made, or waits; what came until then stays. */
  stop(): void;
  /** Make the last answer again; the one that is there becomes an earlier version. */
  answerAgain(): void;
  /** Answer the last question with the full cache and with the compressed one, side by side. */
  compare(): void;
  /** Write on where the last answer ended. */
  goOn(): void;
  /** Ask a question in other words; it and what came after it become an earlier version. */
  edit(turn: Turn, text: string): void;
  /** Take a question and its answer out of the conversation, with all their versions. */
  remove(turn: Turn): void;
  /** Show the version before or after that of a turn, and what followed that; refused while one is open. */
  showVersion(turn: Turn, step: -1 | 1): void;
  undo(): void;
  /** What asking this turn's question (again) would have to read. */
  costOf(turn: Turn): Promise<ReadingCost | undefined>;
  /** Tokens of a text; undefined while there is no model to say it. */
  countTokens(text: string): Promise<number | undefined>;
  /** What sending this question would cost: tokens to read and GPU memory, in words. */
  foretell(question: Question): Promise<string | undefined>;
  /** Cut the last question's document so that it fits, and answer. */
  cutDocument(): Promise<void>;
  /** Take the last question out of the conversation, to be sent otherwise. */
  takeBackQuestion(): Question;
  /** Begin anew; the conversation so far can be brought back. */
  newConversation(): void;
  /** Bring back the conversation that was put aside. */
  bringBack(): void;
  /** Show a kept conversation in place of the one that is there. */
  openConversation(turns: readonly StoredTurn[]): void;
}

/** The page's logic, without a view. */
export function createChat(offered: ModelChoice, settings: Settings, onChange: () => void): Chat {
  const state: ChatState = {
    device: undefined,
    offer: { choice: offered, bytes: undefined, missing: undefined, kept: undefined },
    model: { step: "none" },
    conversationId: 1,
    turns: [],
    heldTurnId: undefined,
    putAside: { conversationId: 0, turns: [] },
    undo: undefined,
    comparison: undefined,
    settings,
    settingsProblem: undefined,
  };
  let answering: AbortController | undefined;

  const update = (patch: Partial<ChatState>): void => {
    Object.assign(state, patch);
    onChange();
  };
  const list = createTurnList(state, update);
  const slot = createModelSlot({
    state,
    update,
    onReady() {
      if (openTurn(state)?.state === "waiting") answerNow(false);
    },
    onEnded: () => void lookForKept(),
  });
  const isOpen = (): boolean => isBusy(state);

  const chat: Chat = {
    state,
    maxTokens: undefined,

    async start() {
      update({ device: await checkDevice() });
      if (state.device?.problem !== undefined || !(offered.source instanceof URL)) return;
      await lookForKept();
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
      if (openTurn(state)?.state !== "waiting") chat.stop();
      return slot.load(choice);
    },

    loadAgain() {
      const { model } = state;
      const again = model.step === "failed" && model.problem.remedy === "load-again";
      return chat.load(again ? model.choice : offered);
    },

    loadWithLess() {
      chat.changeSettings(halveBudget(state.settings));
      const turn = state.turns.at(-1);
      if (turn?.state === "failed") turn.state = "waiting";
      return chat.loadAgain();
    },

    async dropKept() {
      if (offered.source instanceof URL) await dropKept(offered.source);
      await lookForKept();
    },

    cancelLoad() {
      if (slot.cancel() && openTurn(state)?.state === "waiting") chat.stop();
    },

    putModelAway() {
      chat.stop();
      return slot.putAway();
    },

    changeSettings(patch) {
      const before = state.settings;
      update({ settings: { ...before, ...patch } });
      const { model } = state;
      // Attention is compiled for the type of the cache.
      if (state.settings.kvDtype === before.kvDtype) void slot.applyCache();
      else if (model.step === "ready") void chat.load(model.choice);
    },

    ask(question) {
      if (isOpen() || state.device === undefined) return false;
      list.add(question);
      answerOrLoad(false);
      return true;
    },

    stop() {
      answering?.abort();
      // One that hasn't begun yet has nothing to abort.
      if (state.comparison?.state === "running") state.comparison.state = "stopped";
      const turn = openTurn(state);
      if (turn?.state === "waiting") turn.state = "stopped";
      onChange();
    },

    answerAgain() {
      if (state.turns.length === 0 || isOpen()) return;
      list.again();
      answerOrLoad(false);
    },

    compare() {
      const { turns, settings: now, model } = state;
      const turn = turns.at(-1);
      if (turn === undefined || isOpen() || model.step !== "ready") return;
      const comparison = createComparison(turn, now, model.engine.config.numLayers);
      const own = new AbortController();
      answering = own;
      update({ comparison, undo: undefined });
      slot.use((engine) =>
        compareAnswers(engine, comparison, {
          turns,
          settings: now,
          signal: own.signal,
          maxTokens: chat.maxTokens,
          onChange,
        }),
      );
    },

    goOn() {
      const turn = state.turns.at(-1);
      if (turn === undefined || isOpen() || state.model.step !== "ready") return;
      turn.state = "waiting";
      onChange();
      answerNow(true);
    },

    edit(turn, text) {
      if (!state.turns.includes(turn) || isOpen()) return;
      list.edit(turn, text);
      answerOrLoad(false);
    },

    remove(turn) {
      if (!isOpen()) list.remove(turn);
    },

    showVersion: (turn, step) => list.showVersion(turn, step),

    undo() {
      if (state.undo === undefined) return;
      chat.stop();
      list.undo();
    },

    costOf: (turn) => previewTurn(state, turn),

    async countTokens(text) {
      if (state.model.step !== "ready") return undefined;
      return (await state.model.engine.previewPrompt(text)).tokenIds.length;
    },

    async foretell(question) {
      if (state.model.step !== "ready") return undefined;
      return foretellQuestion(state.model.engine, state, question);
    },

    async cutDocument() {
      const turn = state.turns.at(-1);
      if (turn === undefined || isOpen() || state.model.step !== "ready") return;
      const { engine } = state.model;
      const documents = await fitDocument(engine, state, chat.maxTokens);
      if (state.turns.at(-1) !== turn || isOpen()) return;
      list.cut(documents);
      answerOrLoad(false);
    },

    takeBackQuestion() {
      return list.takeBack();
    },

    newConversation() {
      chat.stop();
      list.begin();
    },

    bringBack() {
      chat.stop();
      list.bringBack();
    },

    openConversation(turns) {
      chat.stop();
      list.open(turns);
    },
  };
  return chat;

  /** Without storage there is nothing to find, and nothing to say. */
  async function lookForKept(): Promise<void> {
    if (!(offered.source instanceof URL)) return;
    const kept = await findKept(offered.source).catch(() => undefined);
    update({ offer: { ...state.offer, kept } });
  }

  function answerOrLoad(goOn: boolean): void {
    if (state.model.step === "ready") answerNow(goOn);
    else if (state.model.step !== "loading") void chat.loadAgain();
  }

  function answerNow(goOn: boolean): void {
    const { turns } = state;
    const own = new AbortController();
    answering = own;
    const turn = turns.at(-1);
    if (turn !== undefined && state.model.step === "ready") {
      turn.answeredBy = state.model.choice.name;
      state.heldTurnId = turn.id;
    }
    slot.use((engine) =>
      answerLastTurn(engine, turns, {
        settings: state.settings,
        signal: own.signal,
        maxTokens: chat.maxTokens,
        goOn,
        onChange,
      }),
    );
  }
}
