import type { KvDtype } from "../cache/layout.ts";
import type { SamplingOptions } from "../sampling/options.ts";
import type { ChatMessage } from "../text/chat-template.ts";
import type { LayerMemory, MemoryReport } from "./memory-types.ts";

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
  /** All that the cache needs on the GPU: rows, spare rows, tables and query ring. A budget in bytes is for this. */
  readonly bytes: number;
  /** What policy `full` would have allocated for the tokens seen, same dtype. */
  readonly fullBytes: number;
  readonly layers: readonly LayerMemory[];
}

/** An answer in the making: iterate over its pieces, or await its result. */
export interface Generation<R extends AnswerResult = GenerateResult> extends AsyncIterable<Piece> {
  /** Settles when the answer is complete; rejects as the iteration does. */
  readonly result: Promise<R>;
}
