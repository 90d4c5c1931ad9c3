import type { Piece } from "../engine/generate-types.ts";
import { InvalidOptionError, WorkerError } from "../errors.ts";
import type { ByteSource } from "../formats/byte-source.ts";
import type { ModelFolder } from "../formats/folder.ts";
import { Inbox } from "./inbox.ts";
import { packError, unpackError } from "./wire-errors.ts";
import { type KeptSource, packSource } from "./wire-source.ts";
import {
  type CallMessage,
  type EngineState,
  type FromWorker,
  type OpenMessage,
  PIECE_CREDITS,
  PROTOCOL,
  type SourceRequest,
  type ToWorker,
} from "./worker-protocol.ts";

/** What is needed of a `Worker`. */
export interface WorkerLike {
  /** Hand a message over; what is transferred is gone here. */
  postMessage(message: unknown, transfer: Transferable[]): void;
  /** Hear of the worker's failures. */
  addEventListener(type: "error" | "messageerror", listener: (event: Event) => void): void;
  /** End the worker at once. */
  terminate(): void;
}

type Callbacks = Readonly<Record<string, (value: unknown) => void>>;
type Answer = Extract<FromWorker, { readonly type: "piece" | "done" | "failed" }>;

interface Call {
  readonly inbox: Inbox<Answer>;
  readonly callbacks: Callbacks;
  /** What a callback threw: the call is aborted and throws it, as where there is no worker. */
  thrown?: { readonly error: unknown };
}

/** The page's end of the line to an engine in a worker: calls, their answers, and the worker's end. */
export class WorkerLink {
  readonly #worker: WorkerLike;
  readonly #port: MessagePort;
  /** Sources and folders that the worker reads through this line. */
  readonly #sources: KeptSource[] = [];
  readonly #calls = new Map<number, Call>();
  readonly #requests = new Map<number, AbortController>();
  readonly #lock = `ziggurat-worker-${Date.now()}-${Math.random()}`;
  readonly #ended = new AbortController();
  #state: EngineState | undefined;
  #nextId = 0;

  constructor(worker: WorkerLike) {
    const { port1, port2 } = new MessageChannel();
    this.#worker = worker;
    this.#port = port1;
    port1.addEventListener("message", ({ data }) => this.#receive(data as FromWorker));
    port1.addEventListener("messageerror", () => {
      this.#lost("a message of the model's worker could not be read");
    });
    // Where ports tell (Node, newer browsers); elsewhere the worker's lock does.
    port1.addEventListener("close", () => this.#lost("the model's worker was ended"));
    worker.addEventListener("error", (event) => {
      const { message = "" } = event as Partial<ErrorEvent>;
      this.#lost(`the model's worker failed (${message || "its script could not be loaded"})`);
    });
    port1.start();
    const open: OpenMessage = { ziggurat: PROTOCOL, port: port2, lock: this.#lock };
    worker.postMessage(open, [port2]);
  }

  /** The last state that the worker sent. */
  get state(): EngineState {
    if (this.#state === undefined) throw new Error("no state before the model is loaded");
    return this.#state;
  }

  /** The worker was terminated, or went by itself. */
  get isEnded(): boolean {
    return this.#ended.signal.aborted;
  }

  /** A model's source as data, to be given to `load`: what is read by a function is read through this line. */
  pack(source: unknown): unknown {
    return packSource(source, this.#sources);
  }

  /** A call that gives one value. */
  async call(method: CallMessage["method"], args: readonly unknown[]): Promise<unknown> {
    const answer = await this.stream(method, args).next();
    return answer.value;
  }

  /**
   * A call that gives pieces and then a value. Begins when the first one is asked for; breaking it off
   * stops the GPU. The last argument may have functions (told of progress) and a `signal`.
   */
  async *stream(
    method: CallMessage["method"],
    args: readonly unknown[],
  ): AsyncGenerator<Piece, unknown> {
    const { data, callbacks, signal } = splitOptions(args);
    signal?.throwIfAborted();
    this.#ended.signal.throwIfAborted();
    const id = this.#nextId++;
    const call: Call = { inbox: new Inbox(), callbacks };
    const { inbox } = call;
    const abort = (): void => this.#post({ type: "abort", id });
    const names = Object.keys(callbacks);
    const abortable = method === "generate" || signal !== undefined || names.length > 0;
    this.#post({ type: "call", id, method, args: data, callbacks: names, abortable });
    this.#calls.set(id, call);
    let isOver = false;
    try {
      signal?.addEventListener("abort", abort);
      let taken = 0;
      for (;;) {
        const answer = await inbox.next();
        if (answer.type === "piece") {
          yield answer.piece;
          // In halves, so that the worker never has to wait for a consumer that keeps up.
          if (++taken % (PIECE_CREDITS / 2) === 0) {
            this.#post({ type: "credit", id, pieces: PIECE_CREDITS / 2 });
          }
          continue;
        }
        isOver = true;
        if (call.thrown !== undefined) throw call.thrown.error;
        if (answer.type === "done") return answer.value;
        signal?.throwIfAborted(); // the reason itself, not a copy of it
        throw unpackError(answer.error);
      }
    } finally {
      signal?.removeEventListener("abort", abort);
      if (!isOver && !this.#ended.signal.aborted) await this.#breakOff(id, inbox);
      this.#calls.delete(id);
    }
  }

  /** Close the line and end the worker; every open and later call throws `reason`. */
  end(reason: unknown): void {
    if (this.#ended.signal.aborted) return;
    this.#ended.abort(reason);
    for (const { inbox } of this.#calls.values()) inbox.fail(reason);
    for (const request of this.#requests.values()) request.abort(reason);
    this.#port.close();
    this.#worker.terminate();
  }

  /** Waits until the worker has let go of the GPU. */
  async #breakOff(id: number, inbox: Inbox<Answer>): Promise<void> {
    this.#post({ type: "abort", id });
    try {
      while ((await inbox.next()).type === "piece");
    } catch {
      // the line is closed
    }
  }

  #lost(what: string): void {
    this.end(new WorkerError(what));
  }

  #receive(message: FromWorker): void {
    switch (message.type) {
      case "alive":
        return this.#watch();
      case "read":
      case "open":
        return void this.#find(message);
      case "stop-request":
        return this.#requests.get(message.id)?.abort();
    }
    this.#state = message.state ?? this.#state;
    const call = this.#calls.get(message.id);
    if (call === undefined) return; // broken off
    if (message.type !== "progress") return call.inbox.push(message);
    try {
      call.callbacks[message.callback]?.(message.value);
    } catch (error) {
      call.thrown ??= { error };
      this.#post({ type: "abort", id: message.id });
    }
  }

  /** A lock that the worker held is free only when the worker is gone, however it went. */
  #watch(): void {
    const { signal } = this.#ended;
    navigator.locks
      .request(this.#lock, { signal }, () => this.#lost("the model's worker was ended"))
      .catch(() => {}); // the line was closed first
  }

  async #find(request: SourceRequest): Promise<void> {
    const { id } = request;
    const stop = new AbortController();
    this.#requests.set(id, stop);
    try {
      if (request.type === "open") {
        const folder = this.#sources[request.folder] as ModelFolder;
        const value = this.pack(await folder.open(request.path, stop.signal));
        return this.#post({ type: "found", id, value });
      }
      const source = this.#sources[request.source] as ByteSource;
      const view = await source.read(request.offset, request.length, stop.signal);
      const value = view.slice() as Uint8Array<ArrayBuffer>; // the source may keep what it gave
      this.#post({ type: "found", id, value }, [value.buffer]);
    } catch (error) {
      this.#post({ type: "not-found", id, error: packError(error) });
    } finally {
      this.#requests.delete(id);
    }
  }

  /** @throws InvalidOptionError for arguments that are no plain data. */
  #post(message: ToWorker, transfer: Transferable[] = []): void {
    try {
      this.#port.postMessage(message, transfer);
    } catch (error) {
      const rule = "plain data (a Blob, lists, numbers, texts), since it goes to a worker";
      throw new InvalidOptionError("an argument", error, rule);
    }
  }
}

/** What can travel of the arguments, and what of the options cannot: functions and the signal. */
function splitOptions(args: readonly unknown[]): {
  readonly data: readonly unknown[];
  readonly callbacks: Callbacks;
  readonly signal: AbortSignal | undefined;
} {
  const options = args.at(-1);
  if (Object.prototype.toString.call(options) !== "[object Object]" || args.length === 0) {
    return { data: args, callbacks: {}, signal: undefined };
  }
  const { signal, ...rest } = options as { readonly signal?: AbortSignal };
  const entries = Object.entries(rest);
  const callbacks = entries.filter(([, value]) => typeof value === "function");
  const data = entries.filter(([, value]) => typeof value !== "function");
  return {
    data: [...args.slice(0, -1), Object.fromEntries(data)],
    callbacks: Object.fromEntries(callbacks) as Callbacks,
    signal,
  };
}
