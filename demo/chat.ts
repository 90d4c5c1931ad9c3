import type { Engine } from "../src/index.ts";
import { createAnswerer } from "./answerer.ts";
import {
  type ChatState,
  createChatState,
  isBusy,
  type ModelChoice,
  openTurn,
} from "./chat-state.ts";
import type { Question, Turn } from "./conversation.ts";
import { checkDevice } from "./device-check.ts";
import { fitDocument } from "./fit-document.ts";
import { foretellQuestion } from "./forecast.ts";
import type { StoredTurn } from "./history/stored-conversation.ts";
import { checkModelFiles } from "./model-files.ts";
import { createModelOffer } from "./model-offer.ts";
import { createModelSlot } from "./model-slot.ts";
import { describeNoRoom, describeRefusedFiles } from "./problem.ts";
import { previewTurn, type ReadingCost } from "./reading-cost.ts";
import { halveBudget, type Settings } from "./settings.ts";
import { createTurnList } from "./turn-list.ts";

/** What the user can do; views call it and show `state` when told that it has changed. */
export interface Chat {
  readonly state: ChatState;
  /** Most tokens of an answer; undefined leaves it to the engine. */
  maxTokens: number | undefined;
  /** Done before each answer: brings the cache to where the conversation is. */
  beforeAnswer: (engine: Engine) => Promise<void>;
  /** Look at the device, and ask the server about the model on offer. */
  start(): Promise<void>;
  /** Load a model in place of the one that is there; files that are none are refused, and it stays. */
  load(choice: ModelChoice): Promise<void>;
  /** Say why a file isn't taken; undefined: no more. */
  refuse(why: string | undefined): void;
  /** Load what failed again, else the model on offer. */
  loadAgain(): Promise<void>;
  /** Load again with a cache of half the size; the open question is answered then. */
  loadWithLess(): Promise<void>;
  /** Delete the copy of a model that is kept on this device. */
  dropKept(url: string): Promise<void>;
  /** Do something with the engine when what runs has ended; nothing where there is none then. */
  useEngine(job: (engine: Engine) => Promise<void>): void;
  /** Give up loading. */
  cancelLoad(): void;
  /** Put the model away and offer the choice again; a question that waits for one goes on waiting. */
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
  /** Ask a question in other words; it and what came after it become an earlier version. Refused while one is open. */
  edit(turn: Turn, text: string): boolean;
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
  /** Cut the last question's document so that it fits, and answer; not where nothing of it would be left. */
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
  const state = createChatState(offered, settings);
  const update = (patch: Partial<ChatState>): void => {
    Object.assign(state, patch);
    onChange();
  };
  const list = createTurnList(state, update);
  const slot = createModelSlot({
    state,
    update,
    onReady() {
      if (openTurn(state)?.state === "waiting") answerer.answer(false);
    },
    onEnded: () => void offer.lookForKept(),
  });
  const offer = createModelOffer(state, update);
  const isOpen = (): boolean => isBusy(state);
  /** How often a load was asked for: while files are looked at, another one may be. */
  let loads = 0;

  const chat: Chat = {
    state,
    maxTokens: undefined,
    beforeAnswer: async () => {},

    async start() {
      update({ device: await checkDevice() });
      if (state.device?.problem === undefined) await offer.look();
    },

    async load(choice) {
      if (state.device === undefined || state.device.problem !== undefined) return;
      const own = ++loads;
      const { source } = choice;
      const isKnown = state.model.step !== "none" && state.model.choice === choice;
      if (!isKnown && (source instanceof File || Array.isArray(source))) {
        try {
          await checkModelFiles(source);
        } catch (error) {
          if (own === loads) refuseFiles(choice, error);
          return;
        }
        if (own !== loads) return;
      }
      update({ refused: undefined });
      if (openTurn(state)?.state !== "waiting") chat.stop();
      await slot.load(choice);
    },

    refuse: (why) => update({ refused: why }),

    loadAgain() {
      const { model } = state;
      return chat.load(model.step === "failed" ? model.choice : offered);
    },

    loadWithLess() {
      chat.changeSettings(halveBudget(state.settings));
      const turn = state.turns.at(-1);
      if (turn?.state === "failed") turn.state = "waiting";
      return chat.loadAgain();
    },

    dropKept: (url) => offer.dropKept(url),
    useEngine: (job) => slot.use(job),

    cancelLoad() {
      if (slot.cancel() && openTurn(state)?.state === "waiting") chat.stop();
    },

    putModelAway() {
      if (state.model.step === "ready") chat.stop();
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
      answerOrLoad();
      return true;
    },

    stop: () => answerer.stop(),

    answerAgain() {
      if (state.turns.length === 0 || isOpen()) return;
      list.again();
      answerOrLoad();
    },

    compare: () => answerer.compare(),

    goOn() {
      const turn = state.turns.at(-1);
      if (turn === undefined || isOpen() || state.model.step !== "ready") return;
      turn.state = "waiting";
      onChange();
      answerer.answer(true);
    },

    edit(turn, text) {
      if (!state.turns.includes(turn) || isOpen()) return false;
      list.edit(turn, text);
      answerOrLoad();
      return true;
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
      if (documents === undefined) {
        turn.problem = describeNoRoom(state.turns.length === 1);
        return onChange();
      }
      list.cut(documents);
      answerOrLoad();
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
  const answerer = createAnswerer({
    ...{ state, slot, update, limits: chat },
    beforeAnswer: (engine) => chat.beforeAnswer(engine),
  });
  return chat;

  /** A model that is there, or on its way, stays. */
  function refuseFiles(choice: ModelChoice, error: unknown): void {
    const problem = describeRefusedFiles(error);
    const { model } = state;
    if (model.step === "none" || model.step === "failed") {
      return update({ model: { step: "failed", choice, problem } });
    }
    const stays = model.step === "ready" ? "stays loaded" : "goes on loading";
    update({ refused: `${problem.happened} ${model.choice.name} ${stays}.` });
  }

  function answerOrLoad(): void {
    const { model } = state;
    if (model.step === "ready") return answerer.answer(false);
    if (model.step === "loading") return;
    // What to load instead of a file that is no model is the user's to say: the question waits.
    if (model.step === "failed" && model.problem.remedy === "choose-file") return;
    void chat.loadAgain();
  }
}
