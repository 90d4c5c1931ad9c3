import type { Piece } from "../engine/generate-types.ts";
import type { MemoryReport } from "../engine/memory-types.ts";
import type { Engine } from "../engine/types.ts";
import type { WireError } from "./wire-errors.ts";

/** Both halves must speak the same one: a page may run with a worker from an older cache. */
export const PROTOCOL = 2;

/** Pieces that may be under way to a consumer that is busy; the GPU runs no further ahead. */
export const PIECE_CREDITS = 16;

/** Methods of an engine that give a promise. */
export type PromiseMethod = {
  [K in keyof Engine]: Engine[K] extends (...args: never[]) => Promise<unknown> ? K : never;
}[keyof Engine];

/** Every one of them, forwarded by name: the compiler asks for a line here for each new one. */
const FORWARDED: Record<PromiseMethod, true> = {
  score: true,
  previewPrompt: true,
  setCache: true,
  read: true,
  save: true,
  restore: true,
  keptPositions: true,
  tokenScores: true,
  trace: true,
  loadAllParts: true,
  destroy: true,
};

export const PROMISE_METHODS = Object.keys(FORWARDED) as readonly PromiseMethod[];

/** The first message, on the worker's own channel. All others go through its port. */
export interface OpenMessage {
  readonly ziggurat: number;
  readonly port: MessagePort;
  /** A lock that the worker holds as long as it lives. */
  readonly lock: string;
}

/** What the handle answers from memory. */
export interface EngineState {
  readonly memory: MemoryReport;
  readonly dispatchesPerToken: number;
}

/** What an engine knows from its load on. */
export type EngineFacts = Pick<Engine, "config" | "adapter" | "kernelChoices">;

/** A call: its arguments as data, and what of the last one's options is none. */
export interface CallMessage {
  readonly type: "call";
  readonly id: number;
  readonly method: "load" | "generate" | PromiseMethod;
  readonly args: readonly unknown[];
  /** Names of functions that the last argument had: their calls come back as `progress`. */
  readonly callbacks: readonly string[];
  /** The last argument takes a signal: it may be aborted. */
  readonly abortable: boolean;
}

export type ToWorker =
  | CallMessage
  | { readonly type: "abort"; readonly id: number }
  /** So many more pieces may be sent. */
  | { readonly type: "credit"; readonly id: number; readonly pieces: number }
  /** The bytes, or the packed file, that the worker asked for. */
  | { readonly type: "found"; readonly id: number; readonly value: unknown }
  | { readonly type: "not-found"; readonly id: number; readonly error: WireError };

/** What the worker asks of sources that live on the page's side. */
export type SourceRequest =
  | {
      readonly type: "read";
      readonly id: number;
      readonly source: number;
      readonly offset: number;
      readonly length: number;
    }
  | {
      readonly type: "open";
      readonly id: number;
      readonly folder: number;
      readonly path: string;
    };

export type FromWorker =
  /** The worker holds its lock. */
  | { readonly type: "alive" }
  | {
      readonly type: "progress";
      readonly id: number;
      readonly callback: string;
      readonly value: unknown;
      readonly state: EngineState | undefined;
    }
  | {
      readonly type: "piece";
      readonly id: number;
      readonly piece: Piece;
      readonly state: EngineState | undefined;
    }
  | {
      readonly type: "done";
      readonly id: number;
      readonly value: unknown;
      readonly state: EngineState | undefined;
    }
  | {
      readonly type: "failed";
      readonly id: number;
      readonly error: WireError;
      readonly state: EngineState | undefined;
    }
  | SourceRequest
  /** The answer to a request is not wanted any more. */
  | { readonly type: "stop-request"; readonly id: number };
