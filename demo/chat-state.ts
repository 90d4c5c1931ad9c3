import type { DownloadProgress, Engine, HubModel, LoadProgress } from "../src/index.ts";
import type { AnswerFigures } from "./answer-figures.ts";
import type { Comparison } from "./comparison.ts";
import { isAnswering, type Turn } from "./conversation.ts";
import type { DeviceCheck } from "./device-check.ts";
import type { Problem } from "./problem.ts";
import type { Reopening } from "./reopening.ts";
import type { Settings } from "./settings.ts";

/** A model that can be loaded: an address, a repository of a hub, a file or several of the user's. */
export interface ModelChoice {
  readonly name: string;
  readonly source: URL | HubModel | File | readonly File[];
}

/** The model that the page offers first, as far as its server has told. */
export interface Offer {
  readonly choice: ModelChoice;
  /** Undefined until the server has said it. */
  readonly bytes: number | undefined;
  /** Why it can't be had here. */
  readonly missing: string | undefined;
  /** What of it was kept on this device by an earlier load. */
  readonly kept: KeptCopy | undefined;
  /** Other model files that are kept on this device. */
  readonly others: readonly KeptCopy[];
}

/** A model file that was fetched before, or a part of one. */
export interface KeptCopy {
  readonly url: string;
  readonly storedBytes: number;
  readonly totalBytes: number;
  /** The browser promised not to clear it when room gets short. */
  readonly isPersisted: boolean;
}

/** How far loading has come; rate and time left are those of the step. */
export interface LoadFigures extends Omit<LoadProgress, "stage"> {
  /** First those of the copy to this device, then the engine's. */
  readonly stage: DownloadProgress["stage"] | LoadProgress["stage"];
  /** Of `loadedBytes`, what an earlier load had left here. */
  readonly storedBytes: number;
  /** Why the file isn't kept on this device, where it should have been. */
  readonly notKept: string | undefined;
  readonly bytesPerSecond: number | undefined;
  readonly msLeft: number | undefined;
}

/** The one model of the page, on its way or there. */
export type ModelState =
  | { readonly step: "none" }
  | { readonly step: "loading"; readonly choice: ModelChoice; readonly figures: LoadFigures }
  | { readonly step: "failed"; readonly choice: ModelChoice; readonly problem: Problem }
  | { readonly step: "ready"; readonly choice: ModelChoice; readonly engine: Engine };

/** A change of the conversation that can be undone. */
export interface Undo {
  /** What was done: "Deleted a question and its answer." */
  readonly said: string;
  readonly turns: Turn[];
}

/** A conversation that isn't shown. */
export interface PutAside {
  readonly conversationId: number;
  readonly turns: Turn[];
}

/** A turn whose prompt and answer are in the cache. */
export interface Held {
  readonly conversationId: number;
  readonly turnId: number;
}

/** Everything that the views show; turns change in place, the rest is replaced. */
export interface ChatState {
  /** Undefined until the device has been looked at. */
  device: DeviceCheck | undefined;
  offer: Offer;
  model: ModelState;
  /** Another number for another conversation. */
  conversationId: number;
  turns: Turn[];
  /** What the cache holds, unless it is empty; undefined where that is nothing of this page's. */
  held: Held | undefined;
  /** What became of the saved cache of the conversation that is shown, until its next answer. */
  reopening: Reopening | undefined;
  /** The conversation before "New conversation", to bring back. */
  putAside: PutAside;
  /** What the last change took away, to undo it. */
  undo: Undo | undefined;
  /** The last answer beside that of a full cache, where it was asked for. */
  comparison: Comparison | undefined;
  /** Why the file that came last was not taken; what was there stays. */
  refused: string | undefined;
  settings: Settings;
  /** Why the engine refused the cache that was asked for. */
  settingsProblem: string | undefined;
}

/** An empty conversation, and a device that nobody has looked at. */
export function createChatState(offered: ModelChoice, settings: Settings): ChatState {
  return {
    device: undefined,
    offer: { choice: offered, bytes: undefined, missing: undefined, kept: undefined, others: [] },
    model: { step: "none" },
    conversationId: 1,
    turns: [],
    held: undefined,
    reopening: undefined,
    putAside: { conversationId: 0, turns: [] },
    undo: undefined,
    comparison: undefined,
    refused: undefined,
    settings,
    settingsProblem: undefined,
  };
}

/** The turn that is being answered or waits for the model, if any: always the last. */
export function openTurn(state: Pick<ChatState, "turns">): Turn | undefined {
  const last = state.turns.at(-1);
  return last !== undefined && (isAnswering(last) || last.state === "waiting") ? last : undefined;
}

/** Whether the engine answers, or will as soon as it is there: until then nothing else is begun. */
export function isBusy(state: Pick<ChatState, "turns" | "comparison">): boolean {
  return openTurn(state) !== undefined || state.comparison?.state === "running";
}

/** Figures of the prompt that is being read now, if one is. */
export function readingNow({
  turns,
  comparison,
}: Pick<ChatState, "turns" | "comparison">): AnswerFigures | undefined {
  const turn = turns.at(-1);
  if (turn?.state === "reading") return turn.figures;
  if (comparison?.state !== "running") return undefined;
  return comparison.sides.find(({ state }) => state === "reading")?.figures;
}
