import type { loadEngine } from "../engine/load.ts";
import type { Engine, LoadOptions } from "../engine/types.ts";
import { WorkerError } from "../errors.ts";
import { packError, unpackError } from "./wire-errors.ts";
import {
  type CallMessage,
  type EngineFacts,
  type EngineState,
  type FromWorker,
  type OpenMessage,
  PIECE_CREDITS,
  PROTOCOL,
  type SourceRequest,
  type ToWorker,
} from "./worker-protocol.ts";
import { type PageSources, unpackSource } from "./wire-source.ts";

/** While an answer streams, the state goes along no more often. */
const STATE_EVERY_MS = 100;

/** What is needed of a worker's global scope. */
export interface WorkerScope {
  addEventListener(type: "message", listener: (event: MessageEvent<unknown>) => void): void;
}

/** Serve engines to pages: each `createWorkerEngine` opens one. Other messages are left alone. */
export function serveEngine(scope: WorkerScope, load: typeof loadEngine): void {
  scope.addEventListener("message", ({ data }) => {
    const open = data as Partial<OpenMessage> | undefined;
    if (open?.ziggurat !== undefined) new EngineHost(open as OpenMessage, load).start();
  });
}

interface RunningCall {
  readonly abort: AbortController;
  /** Pieces that may be sent. */
  credits: number;
  /** Called when there are more credits, or nobody wants them any more. */
  wake: () => void;
}

/** A request of one kind, before it has its number. */
type Unnumbered<R> = R extends unknown ? Omit<R, "id"> : never;

interface Waiting {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
}

/** The worker's end of the line: runs what the page asks for, and pushes what comes of it. */
class EngineHost {
  readonly #open: OpenMessage;
  readonly #load: typeof loadEngine;
  readonly #calls = new Map<number, RunningCall>();
  /** Requests to the page that are not answered yet. */
  readonly #requests = new Map<number, Waiting>();
  #engine: Engine | undefined;
  #stateSentAt = -Infinity;
  #nextRequest = 0;

  constructor(open: OpenMessage, load: typeof loadEngine) {
    this.#open = open;
    this.#load = load;
  }

  start(): void {
    const { port, lock } = this.#open;
    port.addEventListener("message", ({ data }) => this.#receive(data as ToWorker));
    port.start();
    const locks = (globalThis.navigator as Navigator | undefined)?.locks;
    void locks?.request(lock, () => {
      this.#post({ type: "alive" });
      return new Promise(() => {}); // held until the worker is gone
    });
  }

  #receive(message: ToWorker): void {
    switch (message.type) {
      case "call":
        return void this.#run(message);
      case "abort": {
        const call = this.#calls.get(message.id);
        call?.abort.abort(new DOMException("the call was aborted", "AbortError"));
        return call?.wake();
      }
      case "credit": {
        const call = this.#calls.get(message.id);
        if (call === undefined) return;
        call.credits += message.pieces;
        return call.wake();
      }
      case "found":
        return this.#requests.get(message.id)?.resolve(message.value);
      case "not-found":
        return this.#requests.get(message.id)?.reject(unpackError(message.error));
      default:
        return message satisfies never;
    }
  }

  async #run(message: CallMessage): Promise<void> {
    const { id } = message;
    const call = { abort: new AbortController(), credits: PIECE_CREDITS, wake: () => {} };
    this.#calls.set(id, call);
    try {
      const value = await this.#answer(message, call);
      this.#post({ type: "done", id, value, state: this.#state() });
    } catch (error) {
      this.#post({ type: "failed", id, error: packError(error), state: this.#state() });
    } finally {
      this.#calls.delete(id);
    }
  }

  #answer(message: CallMessage, call: RunningCall): Promise<unknown> {
    const { method } = message;
    const args = this.#withOptions(message, call.abort.signal);
    if (method === "load") return this.#loadModel(args);
    if (this.#engine === undefined) throw new Error("no model is loaded in this worker");
    if (method === "generate") return this.#generate(message.id, this.#engine, args, call);
    const run = this.#engine[method] as (...args: unknown[]) => Promise<unknown>;
    return run.apply(this.#engine, args);
  }

  async #loadModel([source, options]: unknown[]): Promise<EngineFacts> {
    const { ziggurat } = this.#open;
    if (ziggurat !== PROTOCOL) {
      const versions = `version ${PROTOCOL}, its page version ${ziggurat}`;
      throw new WorkerError(`the worker speaks ${versions}: one of them is out of date`);
    }
    const page: PageSources = {
      read: (id, offset, length, signal) =>
        this.#ask({ type: "read", source: id, offset, length }, signal) as Promise<Uint8Array>,
      open: (folder, path, signal) => this.#ask({ type: "open", folder, path }, signal),
    };
    const engine = await this.#load(unpackSource(source, page), options as LoadOptions);
    this.#engine = engine;
    const { config, adapter, kernelChoices } = engine;
    return { config, adapter, kernelChoices };
  }

  async #generate(
    id: number,
    engine: Engine,
    args: unknown[],
    call: RunningCall,
  ): Promise<unknown> {
    const generation = engine.generate(...(args as Parameters<Engine["generate"]>));
    for await (const piece of generation) {
      this.#post({ type: "piece", id, piece, state: this.#stateIfDue() });
      call.credits--;
      // The engine runs no further than a few steps ahead of what is taken from it.
      while (call.credits <= 0 && !call.abort.signal.aborted) {
        await new Promise<void>((resolve) => (call.wake = resolve));
      }
    }
    return generation.result;
  }

  /** The arguments, the last one with its callbacks and its signal again. */
  #withOptions({ id, args, callbacks, abortable }: CallMessage, signal: AbortSignal): unknown[] {
    if (!abortable) return [...args];
    const functions = callbacks.map((callback) => [
      callback,
      (value: unknown) =>
        this.#post({ type: "progress", id, callback, value, state: this.#stateIfDue() }),
    ]);
    const options = { ...(args.at(-1) as object), ...Object.fromEntries(functions), signal };
    return [...args.slice(0, -1), options];
  }

  #ask(request: Unnumbered<SourceRequest>, signal: AbortSignal | undefined): Promise<unknown> {
    const id = this.#nextRequest++;
    const stop = (): void => this.#post({ type: "stop-request", id });
    return new Promise<unknown>((resolve, reject) => {
      this.#requests.set(id, { resolve, reject });
      signal?.addEventListener("abort", stop);
      this.#post({ ...request, id });
    })
      .finally(() => {
        this.#requests.delete(id);
        signal?.removeEventListener("abort", stop);
      })
      .catch((error: unknown) => {
        signal?.throwIfAborted();
        throw error;
      });
  }

  #stateIfDue(): EngineState | undefined {
    return performance.now() - this.#stateSentAt < STATE_EVERY_MS ? undefined : this.#state();
  }

  #state(): EngineState | undefined {
    if (this.#engine === undefined) return undefined;
    this.#stateSentAt = performance.now();
    const { dispatchesPerToken } = this.#engine;
    return { memory: this.#engine.memory(), dispatchesPerToken };
  }

  #post(message: FromWorker): void {
    this.#open.port.postMessage(message, []);
  }
}
