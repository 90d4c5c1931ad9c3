import type { TokenScores } from "../cache/kept-scores.ts";
import type { CacheOptions } from "../cache/options.ts";
import type { QuantizedWeights } from "../formats/tensor-types.ts";
import type { MatrixReport } from "../model/matrix-upload.ts";
import type { ModelConfig } from "../model/config.ts";
import type { RunTrace } from "../profile/trace.ts";
import type { MemoryReport, AdapterSummary } from "./memory-types.ts";
import type {
  PrefillProgress,
  Prompt,
  GenerateOptions,
  AnswerResult,
  CacheReport,
  Generation,
} from "./generate-types.ts";

/** How far loading has come. Bytes count what was read of the model file. */
export interface LoadProgress {
  /** `open`: header and tokenizer; `weights`: streaming to the GPU; `compile`: kernels. */
  readonly stage: "open" | "weights" | "compile" | "ready";
  readonly loadedBytes: number;
  /** 0 while a folder is opened: its files are still to be found. */
  readonly totalBytes: number;
  /** With `ready`: what loading made of each matrix. */
  readonly matrices?: readonly MatrixReport[];
}

/** How a model is loaded. */
export interface LoadOptions {
  /** Where WebGPU comes from; by default `navigator.gpu`. */
  readonly gpu?: GPU;
  /** How the cache is compressed; by default not at all. */
  readonly cache?: CacheOptions;
  /**
   * Most bytes for the hidden states of a prompt (tokens x hidden size x 4). A longer prompt is read
   * in several passes. By default what the device can bind.
   */
  readonly hiddenBytes?: number;
  /** Note every change of the ledger and of the cache, for `trace()`. Default false: costs nothing. */
  readonly trace?: boolean | TraceOptions;
  /**
   * Quantise matrices of floats (F32, F16, BF16) on the GPU while they load: to 4 bits (embedding and
   * lm head: 8), or to 8. What a file has quantised already stays as it is.
   * `LoadProgress.matrices` says what that cost. By default floats become f16.
   */
  readonly weights?: QuantizedWeights;
  readonly signal?: AbortSignal;
  /** Called as loading goes on, with each chunk that was read. */
  readonly onProgress?: (progress: LoadProgress) => void;
}

/** What a trace holds. */
export interface TraceOptions {
  /** Changes of the ledger that are kept; the oldest go first. Default 65,536. */
  readonly maxEvents?: number;
  /**
   * Time every kernel by timestamp queries, where the GPU has them. Each dispatch of a prefill, and of
   * one decode step per submit, then has a compute pass of its own, which costs time. Default false.
   */
  readonly kernelTimes?: boolean;
  /**
   * Keep the scores of the last compression on the GPU, for `tokenScores`: 4 bytes for each layer, KV
   * head and token. Default false.
   */
  readonly scores?: boolean;
}

/**
 * Whatever answers: an engine on this device, in a worker, or on a server. An app that needs no
 * more than this goes from one to the other by one line.
 */
export interface ChatEngine {
  /**
   * Answer a conversation, or continue a raw text; token ids are taken as they are.
   * @throws InvalidOptionError, ContextLengthError, ChatTemplateError, DeviceLostError,
   * GpuOutOfMemoryError; RemoteError on a server; the signal's reason when it is aborted.
   */
  generate(prompt: Prompt, options?: GenerateOptions): Generation<AnswerResult>;
  /** Let go of everything that it holds. */
  destroy(): Promise<void>;
}

/** What every call that may take a moment can be given. */
export interface CallOptions {
  readonly signal?: AbortSignal;
}

/** How a prompt is read. */
export interface ReadOptions extends CallOptions {
  /** Called as the prompt is read, after each chunk of a layer. */
  readonly onPrefill?: (progress: PrefillProgress) => void;
}

/** What reading came to. */
export interface ReadResult {
  readonly promptTokenIds: readonly number[];
  readonly promptTokens: number;
  /** Prompt tokens that the cache had seen already. */
  readonly cachedTokens: number;
}

/** What is kept with a saved session. */
export interface SaveOptions extends CallOptions {
  /** Any text of the app's own, such as the conversation's messages; `restore` gives it back. */
  readonly note?: string;
  /** The tokens that are to be saved, prompts and answers: refused if the cache holds others. */
  readonly tokenIds?: readonly number[];
}

/** How a saved session is restored. */
export interface RestoreOptions {
  /** Heard while the file is checked; after that the cache is replaced, aborted or not. */
  readonly signal?: AbortSignal;
}

/** What a saved session held. */
export interface RestoredSession {
  /** Tokens that the cache has seen now. */
  readonly tokens: number;
  /** What `save` was given; empty where it was given nothing. */
  readonly note: string;
}

/** How a text is scored. */
export interface ScoreOptions extends CallOptions {
  /** Tokens that are only read; log-probabilities start with the token at this index (>= 1). */
  readonly contextTokens: number;
  /** Called as the prompt is read, after each chunk of a layer. */
  readonly onPrefill?: (progress: PrefillProgress) => void;
}

/** What a text's own tokens cost the model. */
export interface ScoreResult {
  readonly tokenIds: readonly number[];
  /** Natural log-probability of each token from index `contextTokens` on. */
  readonly logprobs: readonly number[];
  /** Mean negative log-likelihood, in nats per token. */
  readonly nll: number;
  readonly perplexity: number;
  readonly memory: MemoryReport;
  /** After the context was compressed, before the rest was appended. */
  readonly cache: CacheReport;
}

/** What `generate` would read for a prompt. */
export interface PromptPreview {
  readonly tokenIds: readonly number[];
  /**
   * The text of each token. A character that is spread over several comes with the last of them, and
   * control tokens as the vocabulary spells them.
   */
  readonly texts: readonly string[];
  /** Leading tokens that the cache has seen, and that would not be read again. */
  readonly cachedTokens: number;
}

/** A loaded model, ready to answer. One call runs at a time; a second one is refused. */
export interface Engine extends ChatEngine {
  readonly config: ModelConfig;
  readonly adapter: AdapterSummary;
  /** The kernel variants that were chosen for this adapter, by role. */
  readonly kernelChoices: Readonly<Record<string, string>>;
  /** Dispatches of one decode step. */
  readonly dispatchesPerToken: number;
  generate(prompt: Prompt, options?: GenerateOptions): Generation;
  /**
   * The tokens of a prompt, and how many of them would have to be read: what an answer, an edit or
   * another policy costs before it begins. Reads nothing, and may be called while an answer runs.
   * @throws InvalidOptionError, ChatTemplateError; the signal's reason when aborted.
   */
  previewPrompt(prompt: Prompt, options?: CallOptions): Promise<PromptPreview>;
  /**
   * Log-probabilities of a text's own tokens after a context: the yardstick for quality. What the cache
   * held is forgotten: the conversation's next prompt is read from its beginning.
   */
  score(text: string | readonly number[], options: ScoreOptions): Promise<ScoreResult>;
  /**
   * Compress the cache in another way from now on. What it holds is dropped, so that the next call
   * reads its whole prompt, and the peaks of `memory()` start again.
   * @throws InvalidOptionError, also for another `kvDtype` than the engine was loaded with (which is
   * the default here); GpuOutOfMemoryError; the signal's reason when aborted. The cache is as it was before
   * when this throws.
   */
  setCache(options: CacheOptions, call?: CallOptions): Promise<void>;
  /**
   * Read a prompt without answering it: the next call whose prompt begins with it starts from there. A
   * conversation is read without what would make the model answer.
   * @throws as `generate` does; the cache is as it was before when this throws.
   */
  read(prompt: Prompt, options?: ReadOptions): Promise<ReadResult>;
  /**
   * Write down what the cache holds, as it is: keys and values (compressed ones stay so), positions and
   * tokens. Changes nothing. It holds the conversation, so it is as private as that.
   * @throws InvalidOptionError where nothing was read yet, or other tokens than the given ones;
   * GpuOutOfMemoryError, DeviceLostError; the signal's reason when aborted.
   */
  save(options?: SaveOptions): Promise<Blob>;
  /**
   * Hold what was saved, in the place of what the cache holds now. A prompt that begins with the saved
   * tokens goes on from there, with the same answers as if it had never been saved.
   * @throws SessionFormatError where the file is damaged, of another version, of another model, or of
   * another cache policy, budget or dtype than this engine's: all is as it was before then.
   * GpuOutOfMemoryError, DeviceLostError: the cache is empty then. The signal's reason: all is as it was.
   */
  restore(saved: Blob, options?: RestoreOptions): Promise<RestoredSession>;
  /** What is allocated on the GPU now, and was at most. */
  memory(): MemoryReport;
  /**
   * Positions that the cache keeps, ascending: `[layer][KV head]`. Reads them back from the GPU.
   * @throws DeviceLostError; the signal's reason when aborted.
   */
  keptPositions(options?: CallOptions): Promise<number[][][]>;
  /**
   * How the token at a position ranked when the cache was last compressed, `[layer][KV head]`. Undefined
   * where the policy ranks nothing: `full` keeps all, `streaming-llm` goes by place alone.
   * @throws InvalidOptionError unless the engine was loaded with `trace: { scores: true }`, and while
   * another call runs; the signal's reason when aborted.
   */
  tokenScores(position: number, options?: CallOptions): Promise<TokenScores | undefined>;
  /**
   * What happened since the load: ledger, phases, cache, kernel times; between calls also the tokens
   * seen and the positions kept. `ziggurat-llm/profile` exports it and reads it back.
   * @throws InvalidOptionError unless the engine was loaded with `trace`; the signal's reason when aborted.
   */
  trace(options?: CallOptions): Promise<RunTrace>;
  /**
   * Fetch the code that otherwise comes when a call first needs it (saved sessions, scoring, caches that
   * evict, sampling, …), so that all of the engine works on without a connection. May be called while another
   * call runs.
   * @throws ModuleLoadError; the signal's reason when aborted: what is on its way comes still.
   */
  loadAllParts(options?: CallOptions): Promise<void>;
  /** Free everything on the GPU; the ledger is at zero afterwards. */
  destroy(): Promise<void>;
}
