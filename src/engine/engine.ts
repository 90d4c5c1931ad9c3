import { createCache } from "../cache/create-cache.ts";
import { compressedFixedBytes } from "../cache/layout.ts";
import {
  type CacheOptions,
  type ResolvedCacheOptions,
  resolveCacheOptions,
} from "../cache/options.ts";
import { InvalidOptionError } from "../errors.ts";
import type { ModelConfig } from "../model/config.ts";
import type { RunTrace } from "../profile/trace.ts";
import { spellTokens } from "../text/detokenizer.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import { adapterSummary } from "./adapter-summary.ts";
import { Conversation } from "./conversation.ts";
import { DecodeLoop } from "./decode-loop.ts";
import { Decoder } from "./decoder.ts";
import { checkedTokenIds, generate, promptTokens } from "./generate.ts";
import { GenerationStream } from "./generation.ts";
import { memoryReport } from "./memory.ts";
import type { Runtime } from "./runtime.ts";
import { score } from "./score.ts";
import { tokenTexts, traceFacts } from "./trace-facts.ts";
import type {
  AdapterSummary,
  Engine,
  GenerateOptions,
  GenerateResult,
  Generation,
  MemoryReport,
  Piece,
  Prompt,
  PromptPreview,
  ScoreOptions,
  ScoreResult,
} from "./types.ts";

/** An engine on this machine's own GPU. */
export class LocalEngine implements Engine {
  readonly adapter: AdapterSummary;
  readonly #runtime: Runtime;
  readonly #tokenizer: Tokenizer;
  readonly #decoder: Decoder;
  readonly #loop: DecodeLoop;
  #conversation: Conversation;
  readonly #destroyed = new AbortController();
  /** Ends the call that runs, and settles when it has let go of the GPU. */
  #stopRunning: (() => Promise<unknown>) | undefined;

  constructor(runtime: Runtime, tokenizer: Tokenizer) {
    this.#runtime = runtime;
    this.#tokenizer = tokenizer;
    this.#decoder = new Decoder(runtime);
    this.#loop = new DecodeLoop(runtime.gpu);
    this.#conversation = new Conversation(runtime.cache, tokenizer);
    this.adapter = adapterSummary(runtime.gpu);
  }

  get config(): ModelConfig {
    return this.#runtime.config;
  }

  get kernelChoices(): Readonly<Record<string, string>> {
    return this.#runtime.linear.report;
  }

  get dispatchesPerToken(): number {
    return this.#decoder.dispatches;
  }

  generate(prompt: Prompt, options: GenerateOptions = {}): Generation {
    return new GenerationStream(this.#generate(prompt, options));
  }

  async *#generate(
    prompt: Prompt,
    options: GenerateOptions,
  ): AsyncGenerator<Piece, GenerateResult> {
    const pieces = generate(
      {
        runtime: this.#runtime,
        tokenizer: this.#tokenizer,
        conversation: this.#conversation,
        decoder: this.#decoder,
        loop: this.#loop,
      },
      prompt,
      { ...options, signal: this.#untilDestroyed(options.signal) },
    );
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

  async previewPrompt(prompt: Prompt): Promise<PromptPreview> {
    const { tokenIds, tokens } = this.#conversation.find(promptTokens(this.#tokenizer, prompt));
    return {
      tokenIds: [...tokenIds],
      texts: spellTokens(this.#tokenizer, tokenIds),
      cachedTokens: tokens,
    };
  }

  async score(text: string | readonly number[], options: ScoreOptions): Promise<ScoreResult> {
    const tokenIds =
      typeof text === "string"
        ? promptTokens(this.#tokenizer, text)
        : checkedTokenIds(text, this.config.vocabSize);
    const signal = this.#untilDestroyed(options.signal);
    this.#checkIdle();
    const result = score(this.#runtime, tokenIds, { ...options, signal }, () =>
      this.#conversation.forget(),
    );
    this.#stopRunning = () => result;
    try {
      return await result;
    } finally {
      this.#stopRunning = undefined;
    }
  }

  async setCache(options: CacheOptions): Promise<void> {
    this.#destroyed.signal.throwIfAborted();
    this.#checkIdle();
    const { cache, config } = this.#runtime;
    const { kvDtype } = cache.options;
    const resolved = resolveCacheOptions({ kvDtype, ...options }, config.numLayers);
    if (resolved.kvDtype !== kvDtype) {
      const rule = `"${kvDtype}", as loaded: attention is compiled for it; load the model again`;
      throw new InvalidOptionError("kvDtype", resolved.kvDtype, rule);
    }
    const result = this.#replaceCache(resolved);
    this.#stopRunning = () => result;
    try {
      await result;
    } finally {
      this.#stopRunning = undefined;
    }
  }

  /** The old cache is let go only when there is a new one. */
  async #replaceCache(options: ResolvedCacheOptions): Promise<void> {
    const { gpu, cache: old } = this.#runtime;
    const bytes = compressedFixedBytes(old.shape, options.windowSize);
    const cache = await gpu.allocating("an empty cache", bytes, () =>
      createCache(gpu, old.shape, options),
    );
    this.#conversation.forget();
    old.destroy();
    this.#runtime.cache = cache;
    this.#conversation = new Conversation(cache, this.#tokenizer);
    gpu.buffers.resetPeak();
  }

  memory(): MemoryReport {
    const { gpu, cache } = this.#runtime;
    return memoryReport(gpu.buffers, cache, this.#conversation.hostBytes);
  }

  async keptPositions(): Promise<number[][][]> {
    this.#checkIdle();
    const { cache, config } = this.#runtime;
    const layers = Array.from({ length: config.numLayers }, (_, layer) => layer);
    return Promise.all(layers.map((layer) => cache.keptPositions(layer)));
  }

  async trace(): Promise<RunTrace> {
    const { tracer, cache, config } = this.#runtime;
    if (tracer === undefined) {
      throw new InvalidOptionError("trace", "false", "true when the engine is loaded");
    }
    this.#runtime.gpu.throwIfFailed();
    const facts = traceFacts(config, this.adapter, cache);
    if (this.#stopRunning !== undefined) return tracer.take(facts);
    const { seen } = this.#conversation;
    const kept = seen.length > 0 ? await this.keptPositions() : undefined;
    const rows = kept === undefined ? {} : { kept, tokens: tokenTexts(this.#tokenizer, seen) };
    return tracer.take({ ...facts, ...rows });
  }

  async destroy(): Promise<void> {
    this.#destroyed.abort(new DOMException("the engine was destroyed", "AbortError"));
    await this.#stopRunning?.().catch(() => {});
    this.#runtime.cache.clear();
    this.#runtime.gpu.destroy();
  }

  /** @throws InvalidOptionError while another call runs; what failed on the device before. */
  #checkIdle(): void {
    if (this.#stopRunning !== undefined) {
      throw new InvalidOptionError("engine", "a second call", "called when the first has ended");
    }
    this.#runtime.gpu.throwIfFailed();
  }

  #untilDestroyed(signal: AbortSignal | undefined): AbortSignal {
    const signals = [this.#destroyed.signal];
    return AbortSignal.any(signal === undefined ? signals : [...signals, signal]);
  }
}
