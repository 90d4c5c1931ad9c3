import type {
  FinishReason,
  GenerateTimings,
  StepLogprobs,
  Usage,
} from "../engine/generate-types.ts";
import { RemoteError } from "../errors.ts";
import { readRemoteLogprobs } from "./remote-logprobs.ts";

/** What one event of a streamed answer says. */
export interface RemoteChunk {
  readonly text: string;
  /** Empty where the server tells none. */
  readonly logprobs: readonly StepLogprobs[];
  readonly finishReason: FinishReason | undefined;
  readonly usage: Usage | undefined;
}

/** The fields that are read of an event of `/chat/completions` or `/completions`; a server may send anything. */
interface Wire {
  readonly error?: { readonly message?: unknown } | null;
  readonly choices?: readonly {
    readonly text?: unknown;
    readonly delta?: { readonly content?: unknown } | null;
    readonly logprobs?: unknown;
    readonly finish_reason?: unknown;
  }[];
  readonly usage?: {
    readonly prompt_tokens?: unknown;
    readonly completion_tokens?: unknown;
    readonly prompt_tokens_details?: { readonly cached_tokens?: unknown } | null;
  } | null;
}

/**
 * Read an event, as OpenAI's API reference describes it ("The chat completion chunk object").
 * @throws RemoteError when it carries an error, or an end that leaves the answer incomplete
 */
export function readChunk(event: unknown, url: string): RemoteChunk {
  const { error, choices, usage } = (event ?? {}) as Wire;
  if (error !== undefined && error !== null) {
    const said = typeof error.message === "string" ? error.message : JSON.stringify(error);
    throw new RemoteError(`${url} failed while answering: ${said}; ask again`, 200, "");
  }
  const choice = Array.isArray(choices) ? choices[0] : undefined;
  const text = choice?.delta?.content ?? choice?.text;
  return {
    text: typeof text === "string" ? text : "",
    logprobs: readRemoteLogprobs(choice?.logprobs),
    finishReason: finishReasonOf(choice?.finish_reason, url),
    usage: usage === undefined || usage === null ? undefined : usageOf(usage),
  };
}

function finishReasonOf(reason: unknown, url: string): FinishReason | undefined {
  if (reason === undefined || reason === null) return undefined;
  if (reason === "stop" || reason === "length") return reason;
  throw new RemoteError(`${url} ended the answer for the reason ${String(reason)}`, 200, "");
}

function usageOf(usage: NonNullable<Wire["usage"]>): Usage {
  return {
    promptTokens: count(usage.prompt_tokens),
    cachedTokens: count(usage.prompt_tokens_details?.cached_tokens),
    completionTokens: count(usage.completion_tokens),
  };
}

function count(value: unknown): number {
  return typeof value === "number" && Number.isInteger(value) && value >= 0 ? value : 0;
}

/**
 * Timings as seen from here, the network included: up to the first text the prompt is read, the
 * rest is decoding. Without usage the tokens are unknown, and counts and rates are 0.
 * @param started, firstAt, lastAt in milliseconds of one clock
 */
export function answerTimings(
  usage: Usage | undefined,
  started: number,
  firstAt: number,
  lastAt: number,
): GenerateTimings {
  const prefillTokens = usage === undefined ? 0 : usage.promptTokens - usage.cachedTokens;
  const decodeTokens = usage?.completionTokens ?? 0;
  const prefillMs = firstAt - started;
  const decodeMs = lastAt - firstAt;
  return {
    prefillTokens,
    prefillMs,
    prefillTokensPerSecond: perSecond(prefillTokens, prefillMs),
    decodeTokens,
    decodeMs,
    decodeTokensPerSecond: perSecond(Math.max(0, decodeTokens - 1), decodeMs),
    timeToFirstTokenMs: prefillMs,
  };
}

function perSecond(tokens: number, ms: number): number {
  return ms > 0 ? (tokens * 1000) / ms : 0;
}
