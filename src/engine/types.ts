import type { KvDtype } from "../cache/layout.ts";
import type { TokenScores } from "../cache/kept-scores.ts";
import type { CacheOptions } from "../cache/options.ts";
import type { BufferPurpose } from "../gpu/buffers.ts";
import type { QuantizedWeights } from "../formats/tensor-types.ts";
import type { MatrixReport } from "../model/matrix-upload.ts";
import type { ModelConfig } from "../model/config.ts";
import type { RunTrace } from "../profile/trace.ts";
import type { SamplingOptions } from "../sampling/options.ts";
import type { ChatMessage } from "../text/chat-template.ts";

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

/** How far reading the prompt has come, in tokens of work over all layers. */
export interface PrefillProgress {
  /** Prompt tokens, scaled by the share of the layers that is done. */
  readonly doneTokens: number;
  readonly totalTokens: number;
}

/** A conversation (for the model's chat template), a raw text, or the token ids of one. */
export type Prompt = string | readonly ChatMessage[] | readonly number[];

export interface GenerateOptions extends SamplingOptions {
  /** Most tokens to generate; by default 512, or less where the context ends. */
  readonly maxTokens?: number;
  /** Texts that end the answer; they are not part of it. */
  readonly stop?: readonly string[];
  readonly signal?: AbortSignal;
  /** Called as the prompt is read, after each chunk of a layer. */
  readonly onPrefill?: (progress: PrefillProgress) => void;
}

/** A piece of the answer: whole characters, as many tokens as one read-back brought; a server tells no ids. */
export interface Piece {
  readonly text: string;
  readonly tokenIds: readonly number[];
  /** One for each token, with the option `logprobs`. */
  readonly logprobs?: readonly StepLogprobs[];
}

/** A token and how probable the model finds it. */
export interface TokenLogprob {
  /** Undefined where a server answered. */
  readonly tokenId: number | undefined;
  /** Its bytes as text, U+FFFD where they are no whole character; control tokens as they are spelled. */
  readonly text: string;
  /** None for control tokens. */
  readonly bytes: readonly number[];
  /** Natural log-probability, before bias, penalties, temperature and cuts. */
  readonly logprob: number;
}

/** The token that a step chose, and the best ones in its place. */
export interface StepLogprobs extends TokenLogprob {
  /** As many as the option `logprobs` asks for, from the best on. */
  readonly top: readonly TokenLogprob[];
}

/** Why an answer ended: the model stopped (or a stop text came), or `maxTokens` were made. */
export type FinishReason = "stop" | "length";

/** Wall time, and rates that leave out loading and (for decode) the first token. */
export interface GenerateTimings {
  readonly prefillTokens: number;
  readonly prefillMs: number;
  readonly prefillTokensPerSecond: number;
  readonly decodeTokens: number;
  readonly decodeMs: number;
  readonly decodeTokensPerSecond: number;
  /** From the call to the first piece. */
  readonly timeToFirstTokenMs: number;
}

/** What every answer comes to, wherever it was made. */
export interface AnswerResult {
  readonly text: string;
  /** Those of all pieces, with the option `logprobs`. */
  readonly logprobs?: readonly StepLogprobs[];
  readonly finishReason: FinishReason;
  /** Undefined where a server did not tell. */
  readonly usage: Usage | undefined;
  readonly timings: GenerateTimings;
}

/** An answer of an engine on this device. */
export interface GenerateResult extends AnswerResult {
  /** Generated tokens, the stop token not included. */
  readonly tokenIds: readonly number[];
  readonly promptTokenIds: readonly number[];
  readonly usage: Usage;
  readonly memory: MemoryReport;
  readonly cache: CacheReport;
}

/** Tokens of a call. */
export interface Usage {
  readonly promptTokens: number;
  /** Prompt tokens that the cache had seen already. */
  readonly cachedTokens: number;
  readonly completionTokens: number;
}

/** What the cache policy did. */
export interface CacheReport {
  readonly policy: string;
  readonly kvDtype: KvDtype;
  /** Tokens seen. */
  readonly tokens: number;
  /** False: the last compression kept everything, because the prompt is shorter than the budget. */
  readonly evicted: boolean;
  /** Passes in which the prompt was read; 0 where all of it was in the cache. */
  readonly passes: number;
  readonly layers: readonly LayerMemory[];
}

/** An answer in the making: iterate over its pieces, or await its result. */
export interface Generation<R extends AnswerResult = GenerateResult> extends AsyncIterable<Piece> {
  /** Settles when the answer is complete; rejects as the iteration does. */
  readonly result: Promise<R>;
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

/** How a prompt is read. */
export interface ReadOptions {
  readonly signal?: AbortSignal;
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
export interface SaveOptions {
  /** Any text of the app's own, such as the conversation's messages; `restore` gives it back. */
  readonly note?: string;
  /** The tokens that are to be saved, prompts and answers: refused if the cache holds others. */
  readonly tokenIds?: readonly number[];
  readonly signal?: AbortSignal;
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
export interface ScoreOptions {
  /** Tokens that are only read; log-probabilities start with the token at this index (>= 1). */
  readonly contextTokens: number;
  readonly signal?: AbortSignal;
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

/** Cache rows and bytes of one KV head. */
export interface HeadMemory {
  /** Rows that the policy allows it, window included. */
  readonly budget: number;
  /** Rows in use. */
  readonly length: number;
  /** Rows allocated. */
  readonly capacity: number;
  readonly bytes: number;
}

/** Cache rows and bytes of one layer. */
export interface LayerMemory {
  /** Rows per KV head that the policy allows, window included. */
  readonly budget: number;
  /** Rows in use, of the longest KV head. */
  readonly length: number;
  /** Rows allocated, of the longest KV head. */
  readonly capacity: number;
  /** Bytes allocated for keys, values and positions. */
  readonly bytes: number;
  /** What policy `full` would have allocated, same dtype. */
  readonly fullBytes: number;
  /** Each KV head on its own: they differ where a policy shares rows out by need (`ada-kv`). */
  readonly heads: readonly HeadMemory[];
  /**
   * Measured share of the window's attention that the kept rows carry, per KV head; empty where the
   * policy ranks without attention.
   */
  readonly keptMass: readonly number[];
}

/**
 * GPU bytes by purpose: a view of the one ledger (design section 6 says what counts as kv). Peaks are those since
 * the model was loaded and tested, or since `setCache`.
 */
export interface MemoryReport {
  readonly weights: number;
  readonly kv: {
    /** Tokens seen so far, without a prompt that is being read. */
    readonly tokens: number;
    readonly allocated: number;
    /** What policy `full` would have allocated by now, same dtype: a prompt in work counts whole. */
    readonly full: number;
    readonly saved: number;
    readonly peak: number;
    readonly layers: readonly LayerMemory[];
  };
  readonly activations: number;
  readonly staging: number;
  readonly uniforms: number;
  readonly total: number;
  readonly peak: number;
  /** Bytes of host memory that hold rows to return to (regenerate, edit, abort). */
  readonly hostBytes: number;
  /** Most bytes of each purpose at one time, each on its own. */
  readonly peaks: Readonly<Record<BufferPurpose, number>>;
}

/** The GPU that the engine runs on. */
export interface AdapterSummary {
  readonly vendor: string;
  readonly architecture: string;
  readonly device: string;
  readonly description: string;
  readonly isSoftware: boolean;
  readonly features: readonly string[];
  readonly maxBufferSize: number;
  readonly maxStorageBufferBindingSize: number;
  /** 0 where the browser does not say. */
  readonly subgroupMinSize: number;
  readonly subgroupMaxSize: number;
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
   * @throws InvalidOptionError, ChatTemplateError
   */
  previewPrompt(prompt: Prompt): Promise<PromptPreview>;
  /** Log-probabilities of a text's own tokens after a context: the yardstick for quality. */
  score(text: string | readonly number[], options: ScoreOptions): Promise<ScoreResult>;
  /**
   * Compress the cache in another way from now on. What it holds is dropped, so that the next call
   * reads its whole prompt, and the peaks of `memory()` start again.
   * @throws InvalidOptionError, also for another `kvDtype` than the engine was loaded with (which is
   * the default here); GpuOutOfMemoryError. The cache is as it was before when this throws.
   */
  setCache(options: CacheOptions): Promise<void>;
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
  /** Positions that the cache keeps, ascending: `[layer][KV head]`. Reads them back from the GPU. */
  keptPositions(): Promise<number[][][]>;
  /**
   * How the token at a position ranked when the cache was last compressed, `[layer][KV head]`. Undefined
   * where the policy ranks nothing: `full` keeps all, `streaming-llm` goes by place alone.
   * @throws InvalidOptionError unless the engine was loaded with `trace: { scores: true }`, and while
   * another call runs.
   */
  tokenScores(position: number): Promise<TokenScores | undefined>;
  /**
   * What happened since the load: ledger, phases, cache, kernel times; between calls also the tokens
   * seen and the positions kept. `ziggurat-llm/profile` exports it and reads it back.
   * @throws InvalidOptionError unless the engine was loaded with `trace`.
   */
  trace(): Promise<RunTrace>;
  /**
   * Fetch the code that otherwise comes when a call first needs it (saved sessions, scoring, caches that
   * evict, sampling, …), so that all of the engine works on without a connection. May be called while another
   * call runs.
   * @throws ModuleLoadError
   */
  loadAllParts(): Promise<void>;
  /** Free everything on the GPU; the ledger is at zero afterwards. */
  destroy(): Promise<void>;
}
