import { type Engine, GpuOutOfMemoryError } from "../../src/index.ts";
import { type ChatState, isBusy, openTurn } from "../chat-state.ts";
import type { Chat } from "../chat.ts";
import type { Turn } from "../conversation.ts";
import { endsEngine } from "../problem.ts";
import { describeRefusal } from "../reopening.ts";
import { toCacheOptions } from "../settings.ts";
import type { History } from "./history.ts";
import type { SessionInfo } from "./session-store.ts";
import { isWorthSaving } from "./worth-saving.ts";

/** After an answer, in ms: who asks at once isn't kept waiting. */
const SAVE_DELAY_MS = 2000;

/**
 * Keeps what the engine has read of each conversation: saves its cache when an answer is complete and
 * nothing happens any more, and opens it again when the conversation is shown and the model is there.
 */
export interface SessionKeeper {
  /** Chat or history have changed: something may be due. */
  noteChange(): void;
  /** Don't wait any longer: the page may be closed. */
  saveNow(): void;
}

/** A conversation up to an answer that the cache holds. */
interface Unsaved {
  readonly conversationId: number;
  readonly turns: readonly Turn[];
  readonly key: string;
}

/** @param onChange called when something was saved, or not */
export function createSessionKeeper(
  chat: Chat,
  history: History,
  onChange: () => void,
): SessionKeeper {
  const { state } = chat;
  const { sessions } = history;
  /** What waits for its time. */
  let waiting: Unsaved | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let saving: { readonly conversationId: number; readonly abort: AbortController } | undefined;
  /** The last that was saved or opened, or wasn't worth it. */
  let settled = "";
  /** What was tried to open last: once is enough. */
  let tried = "";
  let triedBy: Engine | undefined;

  chat.beforeAnswer = reopen;

  return {
    noteChange() {
      // The next question goes first: its answer goes on from the same cache.
      if (isBusy(state) && saving?.conversationId === state.conversationId) saving.abort.abort();
      const due = dueToSave();
      if (due?.key !== waiting?.key) {
        // Another conversation will take its place in the cache.
        if (waiting !== undefined && waiting.conversationId !== state.conversationId) save();
        clearTimeout(timer);
        waiting = due;
        if (due !== undefined) timer = setTimeout(save, SAVE_DELAY_MS);
      }
      if (!isBusy(state) && dueToOpen() !== undefined) chat.useEngine(reopen);
    },
    saveNow: save,
  };

  /** What the cache holds of the conversation, where that was neither saved nor left, and nothing runs. */
  function dueToSave(): Unsaved | undefined {
    const { conversationId, held, settings } = state;
    if (held?.conversationId !== conversationId || isBusy(state)) return undefined;
    // What is read again for each question needn't be kept.
    if (settings.followUp === "read-again" || history.problem !== undefined) return undefined;
    const at = state.turns.findIndex(({ id }) => id === held.turnId);
    const turns = state.turns.slice(0, at + 1);
    const last = turns.at(-1);
    const key = last === undefined ? settled : keyOf(last);
    return key === settled ? undefined : { conversationId, turns, key };
  }

  function save(): void {
    clearTimeout(timer);
    const what = waiting;
    waiting = undefined;
    if (what === undefined) return;
    settled = what.key;
    chat.useEngine((engine) => saveFrom(engine, what));
  }

  async function saveFrom(engine: Engine, { conversationId, turns }: Unsaved): Promise<void> {
    const { tokens, allocated } = engine.memory().kv;
    const isHeld = state.held?.turnId === turns.at(-1)?.id && tokens > 0;
    const readings = turns.map(({ figures }) => figures);
    if (!isHeld || !isWorthSaving({ tokens, bytes: allocated }, readings)) return;
    const abort = new AbortController();
    saving = { conversationId, abort };
    try {
      const blob = await engine.save({ signal: abort.signal });
      const info = { savedAt: Date.now(), bytes: blob.size, questions: turns.length };
      // The engine is free again: the rest is the browser's work.
      void store(conversationId, info, blob);
    } catch (error) {
      // What the next answer leaves is saved, be it nothing new.
      if (abort.signal.aborted) settled = "";
      // Where it can't be read back, it isn't kept.
      else if (endsEngine(error) && !(error instanceof GpuOutOfMemoryError)) throw error;
    } finally {
      saving = undefined;
    }
  }

  async function store(
    conversationId: number,
    info: Omit<SessionInfo, "id">,
    blob: Blob,
  ): Promise<void> {
    await history.save();
    const id = history.idOf(conversationId);
    if (id !== undefined) await sessions.put({ ...info, id }, blob);
    onChange();
  }

  /** The saved cache of the conversation that is shown, unless the engine has it, or it was tried. */
  function dueToOpen(): SessionInfo | undefined {
    const { model, conversationId, turns, held, settings } = state;
    if (model.step !== "ready" || settings.followUp === "read-again") return undefined;
    const info = sessions.infos.get(history.idOf(conversationId) ?? "");
    if (info === undefined || turns.length === 0) return undefined;
    const isOpen = openTurn(state);
    if (isOpen !== undefined && isOpen.state !== "waiting") return undefined;
    const { engine } = model;
    if (held?.conversationId === conversationId && engine.memory().kv.tokens > 0) return undefined;
    const isTried = triedBy === engine && tried === attemptOf(info, engine, state);
    return isTried ? undefined : info;
  }

  async function reopen(engine: Engine): Promise<void> {
    const info = dueToOpen();
    if (info === undefined) return;
    const { conversationId, turns } = state;
    [tried, triedBy] = [attemptOf(info, engine, state), engine];
    const began = performance.now();
    try {
      const blob = await sessions.read(info.id);
      if (blob === undefined) return;
      const { tokens } = await engine.restore(blob);
      const turn = turns[info.questions - 1];
      if (turn !== undefined) {
        state.held = { conversationId, turnId: turn.id };
        settled = keyOf(turn);
      }
      tell(conversationId, { tokens, bytes: blob.size, ms: performance.now() - began });
    } catch (error) {
      if (endsEngine(error) && !(error instanceof GpuOutOfMemoryError)) throw error;
      const { why, isUseless } = describeRefusal(error);
      tell(conversationId, { why });
      if (isUseless) await sessions.remove([info.id]);
    }
    onChange();
  }

  function tell(conversationId: number, reopening: NonNullable<ChatState["reopening"]>): void {
    // Another conversation may be shown by now.
    if (state.conversationId === conversationId) state.reopening = reopening;
  }
}

/** Changes with the answer, when it is made again or goes on. */
function keyOf({ id, attempt, answer }: Turn): string {
  return `${id} ${attempt} ${answer.length}`;
}

/** Changes when opening may come to something else. */
function attemptOf({ id, savedAt }: SessionInfo, engine: Engine, { settings }: ChatState): string {
  return JSON.stringify([id, savedAt, toCacheOptions(settings, engine.config.numLayers)]);
}
