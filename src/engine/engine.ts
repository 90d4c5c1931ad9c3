import type { TokenScores } from "../cache/kept-scores.ts";
import { type CacheOptions, resolveCacheOptions } from "../cache/options.ts";
import { InvalidOptionError } from "../errors.ts";
import type { ModelConfig } from "../model/config.ts";
import { onDemand } from "../on-demand.ts";
import type { RunTrace } from "../profile/trace.ts";
import { spellTokens } from "../text/detokenizer.ts";
import { adapterSummary } from "./adapter-summary.ts";
import { generate } from "./generate.ts";
import { GenerationStream } from "./generation.ts";
import { memoryReport } from "./memory.ts";
import { type EngineParts, type OpenParts, replaceCache } from "./parts.ts";
import { checkedTokenIds, promptTokens } from "./prompt-tokens.ts";
import { read } from "./read.ts";
import { Recovery } from "./recovery.ts";
import type { Runtime } from "./runtime.ts";
import type * as session from "./session.ts";
import { tracing } from "./tracing.ts";
import type {
  GenerateOptions,
  GenerateResult,
  Generation,
  Piece,
  Prompt,
} from "./generate-types.ts";
import type { AdapterSummary, MemoryReport } from "./memory-types.ts";
import type {
  CallOptions,
  Engine,
  PromptPreview,
  ReadOptions,
  ReadResult,
  RestoredSession,
  RestoreOptions,
  SaveOptions,
  ScoreOptions,
  ScoreResult,
} from "./types.ts";

const sessions = (): Promise<typeof session> =>
  onDemand("saved sessions", () => import("./session.ts"));

/** An engine on this machine's own GPU. */
export class LocalEngine implements Engine {
  readonly #open: OpenParts;
  #parts: EngineParts;
  readonly #destroyed = new AbortController();
  /** Ends the call that runs, and settles when it has let go of the GPU. */
  #stopRunning: (() => Promise<unknown>) | undefined;

  constructor(parts: EngineParts, open: OpenParts) {
    this.#parts = parts;
    this.#open = open;
  }

  get adapter(): AdapterSummary {
    return adapterSummary(this.#runtime.gpu);
  }

  get config(): ModelConfig {
    return this.#runtime.config;
  }

  get kernelChoices(): Readonly<Record<string, string>> {
    return this.#runtime.linear.report;
  }

  get dispatchesPerToken(): number {
    return this.#parts.decoder.dispatches;
  }

  generate(prompt: Prompt, options: GenerateOptions = {}): Generation {
    return new GenerationStream(this.#generate(prompt, options));
  }

  async *#generate(
    prompt: Prompt,
    options: GenerateOptions,
  ): AsyncGenerator<Piece, GenerateResult> {
    const signal = this.#untilDestroyed(options.signal);
    const pieces = generate(this.#recovery(signal), prompt, { ...options, signal });
    this.#checkIdle();
    this.#stopRunning = () => pieces.return(undefined as never);
    try {
      const result = yield* pieces;
      this.#destroyed.signal.throwIfAborted(); // `pieces` was ended from outside: no result
      return result;
    } finally {
      this.#stopRunning = undefined;
    }
  }

  async previewPrompt(prompt: Prompt, { signal }: CallOptions = {}): Promise<PromptPreview> {
    signal?.throwIfAborted();
    const { conversation, tokenizer } = this.#parts;
    const { tokenIds, tokens } = conversation.find(promptTokens(tokenizer, prompt));
    return {
      tokenIds: [...tokenIds],
      texts: spellTokens(tokenizer, tokenIds),
      cachedTokens: tokens,
    };
  }

  async score(text: string | readonly number[], options: ScoreOptions): Promise<ScoreResult> {
    const tokenIds =
      typeof text === "string"
        ? promptTokens(this.#parts.tokenizer, text)
        : checkedTokenIds(text, this.config.vocabSize);
    const signal = this.#untilDestroyed(options.signal);
    return this.#alone(async () => {
      const { score } = await onDemand("scoring", () => import("./score.ts"));
      return this.#recovery(signal).run(({ runtime, conversation }) =>
        score(runtime, tokenIds, { ...options, signal }, () => conversation.forget()),
      );
    });
  }

  read(prompt: Prompt, options: ReadOptions = {}): Promise<ReadResult> {
    const signal = this.#untilDestroyed(options.signal);
    return this.#alone(() =>
      this.#recovery(signal).run((parts) => read(parts, prompt, { ...options, signal })),
    );
  }

  save(options: SaveOptions = {}): Promise<Blob> {
    const signal = this.#untilDestroyed(options.signal);
    return this.#alone(async () => {
      const { saveSession } = await sessions();
      return saveSession(this.#parts, { ...options, signal });
    });
  }

  restore(saved: Blob, options: RestoreOptions = {}): Promise<RestoredSession> {
    const signal = this.#untilDestroyed(options.signal);
    return this.#alone(async () => {
      const { restoreSession } = await sessions();
      return this.#recovery(signal).run((parts) => restoreSession(parts, saved, signal));
    });
  }

  async setCache(options: CacheOptions, { signal }: CallOptions = {}): Promise<void> {
    const { cache, config } = this.#runtime;
    const { kvDtype } = cache.options;
    const resolved = resolveCacheOptions({ kvDtype, ...options }, config.numLayers);
    if (resolved.kvDtype !== kvDtype) {
      const rule = `"${kvDtype}", as loaded: attention is compiled for it; load the model again`;
      throw new InvalidOptionError("kvDtype", resolved.kvDtype, rule);
    }
    const stop = this.#untilDestroyed(signal);
    await this.#alone(() => {
      stop.throwIfAborted();
      return this.#recovery(stop).run((parts) => replaceCache(parts, resolved, stop));
    });
  }

  memory(): MemoryReport {
    const { gpu, cache } = this.#runtime;
    return memoryReport(gpu.buffers, cache, this.#parts.conversation.hostBytes);
  }

  async keptPositions({ signal }: CallOptions = {}): Promise<number[][][]> {
    this.#checkIdle();
    const { cache, config, gpu } = this.#runtime;
    gpu.throwIfFailed();
    signal?.throwIfAborted();
    const layers = Array.from({ length: config.numLayers }, (_, layer) => layer);
    const kept = await Promise.all(layers.map((layer) => cache.keptPositions(layer)));
    signal?.throwIfAborted();
    return kept;
  }

  async tokenScores(
    position: number,
    { signal }: CallOptions = {},
  ): Promise<TokenScores | undefined> {
    const { cache, keepsScores } = this.#runtime;
    if (!keepsScores) {
      throw new InvalidOptionError("trace.scores", "false", "true when the engine is loaded");
    }
    if (!Number.isSafeInteger(position) || position < 0) {
      throw new InvalidOptionError("position", position, "a whole number");
    }
    this.#runtime.gpu.throwIfFailed();
    signal?.throwIfAborted();
    const scores = await this.#alone(async () => cache.tokenScores?.(position));
    signal?.throwIfAborted();
    return scores;
  }

  async trace(options: CallOptions = {}): Promise<RunTrace> {
    const { tracer } = this.#runtime;
    if (tracer === undefined) {
      throw new InvalidOptionError("trace", "false", "true when the engine is loaded");
    }
    this.#runtime.gpu.throwIfFailed();
    options.signal?.throwIfAborted();
    const { takeTrace } = await tracing();
    options.signal?.throwIfAborted();
    const kept = this.#stopRunning ? undefined : () => this.keptPositions(options);
    return takeTrace(tracer, this.adapter, this.#parts, kept);
  }

  async loadAllParts({ signal }: CallOptions = {}): Promise<void> {
    signal?.throwIfAborted();
    await onDemand("working offline", async () => (await import("./all-parts.ts")).loadAllParts());
    signal?.throwIfAborted();
  }

  async destroy(): Promise<void> {
    this.#destroyed.abort(new DOMException("the engine was destroyed", "AbortError"));
    await this.#stopRunning?.().catch(() => {});
    this.#runtime.cache.clear();
    this.#runtime.gpu.destroy();
  }

  get #runtime(): Runtime {
    return this.#parts.runtime;
  }

  /** Another device, with the same model and an empty cache, takes the place of one that is lost. */
  #recovery(signal: AbortSignal): Recovery {
    return new Recovery(
      () => this.#parts,
      async () => {
        const { cache, gpu } = this.#runtime;
        gpu.destroy();
        this.#parts = await this.#open(cache.options, { signal });
      },
      signal,
    );
  }

  /** Run a call that no other may disturb. */
  async #alone<T>(run: () => Promise<T>): Promise<T> {
    this.#destroyed.signal.throwIfAborted();
    this.#checkIdle();
    const result = run();
    this.#stopRunning = () => result;
    try {
      return await result;
    } finally {
      this.#stopRunning = undefined;
    }
  }

  /** @throws InvalidOptionError while another call runs. */
  #checkIdle(): void {
    if (this.#stopRunning !== undefined) {
      throw new InvalidOptionError("engine", "a second call", "called when the first has ended");
    }
  }

  #untilDestroyed(signal: AbortSignal | undefined): AbortSignal {
    const signals = [this.#destroyed.signal];
    return AbortSignal.any(signal === undefined ? signals : [...signals, signal]);
  }
}
