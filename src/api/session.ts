import { GenerationStream } from "../engine/generation.ts";
import type {
  GenerateOptions,
  GenerateResult,
  Generation,
  Piece,
} from "../engine/generate-types.ts";
import type {
  CallOptions,
  Engine,
  ReadOptions,
  ReadResult,
  RestoreOptions,
  SaveOptions,
} from "../engine/types.ts";
import { DeviceLostError, InvalidOptionError, SessionFormatError } from "../errors.ts";
import type { ChatMessage } from "../text/chat-template.ts";

/** What is added to a conversation: a user's message as a text, or messages. */
export type Addition = string | readonly ChatMessage[];

/**
 * A conversation that remembers: its messages, and its compressed cache. An engine holds the cache of
 * one session at a time; when another one is used, the first one's moves to a Blob and back.
 */
export interface Session {
  /** The conversation so far: what was added, and the answers. */
  readonly messages: readonly ChatMessage[];
  /** Read messages without answering them, such as a document to be asked about. @throws as `engine.read` */
  append(added: Addition, options?: ReadOptions): Promise<ReadResult>;
  /** Answer a message; both become part of the conversation when the answer is complete. @throws as `engine.generate` */
  generate(added: Addition, options?: GenerateOptions): Generation;
  /** Another session that goes on from here, without reading anything again. */
  clone(options?: CallOptions): Promise<Session>;
  /** The session as a file, for `restoreSession`. It holds the whole conversation. @throws as `engine.save` */
  save(options?: CallOptions): Promise<Blob>;
}

/** What `engine.save` refuses where the cache holds other tokens than a session's, or none. */
const NOT_HELD: readonly string[] = ["tokenIds", "what is saved"];

/** Which session's cache an engine holds. */
const holders = new WeakMap<Engine, CacheSession>();

/**
 * Begin a conversation on any engine, in a worker or not. Use the engine through its sessions alone: what
 * is asked of it directly takes the place of the session's cache, which is then read again.
 */
export function createSession(engine: Engine): Session {
  return new CacheSession(engine, [], undefined);
}

/**
 * Open a saved session: nothing is read again.
 * @throws SessionFormatError where it is damaged, or of another model or cache than the engine's;
 * the signal's reason when aborted.
 */
export async function restoreSession(
  engine: Engine,
  saved: Blob,
  options: RestoreOptions = {},
): Promise<Session> {
  await holders.get(engine)?.letGo(callOptions(options));
  holders.delete(engine);
  const { note } = await engine.restore(saved, options);
  const session = new CacheSession(engine, readMessages(note), saved);
  holders.set(engine, session);
  return session;
}

class CacheSession implements Session {
  readonly #engine: Engine;
  #messages: readonly ChatMessage[];
  /** The session as it was last saved; undefined where it has changed since, or nothing was read. */
  #saved: Blob | undefined;
  /** Tokens of the last prompt and its answer: what the engine holds of it. */
  #tokenIds: readonly number[] = [];
  /** Calls of this session that run on the engine. */
  #running = 0;

  constructor(engine: Engine, messages: readonly ChatMessage[], saved: Blob | undefined) {
    this.#engine = engine;
    this.#messages = messages;
    this.#saved = saved;
  }

  get messages(): readonly ChatMessage[] {
    return this.#messages;
  }

  async append(added: Addition, options: ReadOptions = {}): Promise<ReadResult> {
    const messages = [...this.#messages, ...messagesOf(added)];
    await this.#hold(callOptions(options));
    this.#running++;
    try {
      const result = await this.#engine.read(messages, options);
      this.#changed(messages, result.promptTokenIds);
      return result;
    } finally {
      this.#running--;
    }
  }

  generate(added: Addition, options: GenerateOptions = {}): Generation {
    return new GenerationStream(this.#generate(added, options));
  }

  async clone(options: CallOptions = {}): Promise<Session> {
    const saved = this.#messages.length > 0 ? await this.save(options) : undefined;
    return new CacheSession(this.#engine, this.#messages, saved);
  }

  async save(call: CallOptions = {}): Promise<Blob> {
    const options = callOptions(call);
    if (this.#saved === undefined) await this.letGo(options);
    if (this.#saved !== undefined) return this.#saved;
    // What the engine held of it was lost.
    await this.append([], options);
    return (this.#saved = await this.#engine.save({ ...this.#toSave, ...options }));
  }

  /**
   * Another session's cache is to come: keep this one's, if the engine holds it still.
   * @throws InvalidOptionError while a call runs: the engine goes on with this session.
   */
  async letGo(options: CallOptions = {}): Promise<void> {
    const isSaved = this.#saved !== undefined && this.#running === 0;
    if (isSaved || holders.get(this.#engine) !== this) return;
    try {
      this.#saved = await this.#engine.save({ ...this.#toSave, ...options });
    } catch (error) {
      const isOther = error instanceof InvalidOptionError && NOT_HELD.includes(error.option);
      if (!isOther && !(error instanceof DeviceLostError)) throw error;
    }
  }

  async #restore(saved: Blob, options: CallOptions): Promise<void> {
    try {
      await this.#engine.restore(saved, options);
    } catch (error) {
      if (!(error instanceof SessionFormatError)) throw error;
      this.#saved = undefined; // the engine has another cache by now: it reads the messages again
    }
  }

  get #toSave(): SaveOptions {
    return { note: JSON.stringify(this.#messages), tokenIds: this.#tokenIds };
  }

  async *#generate(
    added: Addition,
    options: GenerateOptions,
  ): AsyncGenerator<Piece, GenerateResult> {
    const messages = [...this.#messages, ...messagesOf(added)];
    await this.#hold(callOptions(options));
    this.#running++;
    try {
      const generation = this.#engine.generate(messages, options);
      yield* generation;
      const result = await generation.result;
      const answer: ChatMessage = { role: "assistant", content: result.text };
      this.#changed([...messages, answer], [...result.promptTokenIds, ...result.tokenIds]);
      return result;
    } finally {
      this.#running--;
    }
  }

  #changed(messages: readonly ChatMessage[], tokenIds: readonly number[]): void {
    this.#messages = messages;
    this.#tokenIds = tokenIds;
    this.#saved = undefined;
  }

  /** Let the engine hold this session's cache. */
  async #hold(options: CallOptions): Promise<void> {
    const holder = holders.get(this.#engine);
    if (holder === this) return;
    await holder?.letGo(options);
    holders.delete(this.#engine);
    if (this.#saved !== undefined) await this.#restore(this.#saved, options);
    holders.set(this.#engine, this);
  }
}

/** Of a call's options, what a call on its way takes too. */
function callOptions({ signal }: CallOptions): CallOptions {
  return signal === undefined ? {} : { signal };
}

function messagesOf(added: Addition): readonly ChatMessage[] {
  return typeof added === "string" ? [{ role: "user", content: added }] : added;
}

function readMessages(note: string): ChatMessage[] {
  const wrong = (): SessionFormatError =>
    new SessionFormatError("its messages", "a list of roles and texts", note.slice(0, 80));
  let list: unknown;
  try {
    list = JSON.parse(note);
  } catch {
    throw wrong();
  }
  if (!Array.isArray(list)) throw wrong();
  return (list as unknown[]).map((message) => {
    const { role, content } = (message ?? {}) as Partial<ChatMessage>;
    if (typeof role !== "string" || typeof content !== "string") throw wrong();
    return { role, content };
  });
}
