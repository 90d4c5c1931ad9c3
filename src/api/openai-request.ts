import type { GenerateOptions } from "../engine/generate-types.ts";
import { InvalidOptionError } from "../errors.ts";
import type { ChatMessage } from "../text/chat-template.ts";
import type { ChatCompletionMessage, ChatCompletionRequest, ChatTextPart } from "./openai-types.ts";

/** Fields of a request that have a meaning here, or change no answer anywhere. */
const UNDERSTOOD: Record<keyof ChatCompletionRequest, true> = {
  messages: true,
  model: true,
  stream: true,
  stream_options: true,
  temperature: true,
  top_p: true,
  max_completion_tokens: true,
  max_tokens: true,
  stop: true,
  seed: true,
  n: true,
  logit_bias: true,
  frequency_penalty: true,
  presence_penalty: true,
  logprobs: true,
  top_logprobs: true,
  top_k: true,
  min_p: true,
  repetition_penalty: true,
  user: true,
  metadata: true,
  prompt_cache_key: true,
  safety_identifier: true,
};

/** Fields of the API that we can't do, with the values that ask for nothing. */
const REFUSED: Readonly<Record<string, readonly unknown[]>> = {
  audio: [],
  function_call: ["none"],
  functions: [],
  modalities: [],
  parallel_tool_calls: [false, true],
  prediction: [],
  reasoning_effort: [],
  response_format: [],
  service_tier: ["auto", "default"],
  store: [false],
  tool_choice: ["none"],
  tools: [],
  verbosity: [],
  web_search_options: [],
};

/** A request in the engine's own words. */
export interface EngineRequest {
  readonly messages: readonly ChatMessage[];
  readonly options: Omit<GenerateOptions, "signal" | "onPrefill">;
}

/**
 * Translate a request; the engine checks the values of its own options.
 * @throws InvalidOptionError for a field or a kind of content that would be passed over in silence.
 */
export function readRequest(request: ChatCompletionRequest): EngineRequest {
  for (const [field, value] of Object.entries(request)) checkField(field, value);
  const { temperature, top_p, max_completion_tokens, max_tokens, stop, seed } = request;
  if (!Array.isArray(request.messages)) {
    throw new InvalidOptionError("messages", request.messages, "a list of messages");
  }
  checkStream(request);
  const given = {
    temperature: temperature ?? 1,
    topP: top_p,
    maxTokens: max_completion_tokens ?? max_tokens,
    stop: typeof stop === "string" ? [stop] : stop,
    seed,
    topK: request.top_k,
    minP: request.min_p,
    repetitionPenalty: request.repetition_penalty,
    logitBias: request.logit_bias,
    frequencyPenalty: request.frequency_penalty,
    presencePenalty: request.presence_penalty,
    logprobs: readLogprobs(request),
  };
  const options = Object.fromEntries(Object.entries(given).filter(([, value]) => !isAbsent(value)));
  const messages = request.messages.map((message, i) => readMessage(message, `messages[${i}]`));
  return { messages, options };
}

function checkStream({ stream, stream_options }: ChatCompletionRequest): void {
  checkFlag("stream", stream);
  if (isAbsent(stream_options)) return;
  if (stream !== true) {
    throw new InvalidOptionError("stream_options", "a value", "left out without stream: true");
  }
  if (typeof stream_options !== "object") {
    throw new InvalidOptionError("stream_options", stream_options, "an object with include_usage");
  }
  const { include_usage, ...rest } = stream_options;
  refuseMore(rest, "stream_options");
  checkFlag("stream_options.include_usage", include_usage);
}

/** How many of the best tokens are told; undefined: no log-probabilities at all. */
function readLogprobs({ logprobs, top_logprobs }: ChatCompletionRequest): number | undefined {
  checkFlag("logprobs", logprobs);
  if (logprobs !== true && !isAbsent(top_logprobs) && top_logprobs !== 0) {
    throw new InvalidOptionError("top_logprobs", top_logprobs, "left out without logprobs: true");
  }
  return logprobs === true ? (top_logprobs ?? 0) : undefined;
}

/** Clients send `null` for what they leave out. */
function isAbsent(value: unknown): value is null | undefined {
  return value === null || value === undefined;
}

function checkFlag(field: string, value: unknown): void {
  if (!isAbsent(value) && typeof value !== "boolean") {
    throw new InvalidOptionError(field, `a ${typeof value}`, "true or false");
  }
}

/** @throws InvalidOptionError for the first field that has a value. */
function refuseMore(fields: object, where: string): void {
  const more = Object.entries(fields).find(([, value]) => !isAbsent(value));
  if (more === undefined) return;
  throw new InvalidOptionError(`${where}.${more[0]}`, "a value", "left out");
}

function checkField(field: string, value: unknown): void {
  if (isAbsent(value)) return;
  if (field === "n" && value !== 1) {
    throw new InvalidOptionError("n", value, "1: answers are made one at a time, call again");
  }
  if (Object.hasOwn(UNDERSTOOD, field)) return;
  const harmless = Object.hasOwn(REFUSED, field) ? REFUSED[field] : undefined;
  if (harmless === undefined) {
    throw new InvalidOptionError(field, "a value", "left out: it is no field of a request");
  }
  const isText = (value as { readonly type?: unknown }).type === "text"; // response_format
  const isEmpty = typeof value === "object" && Object.keys(value).length === 0;
  if (harmless.includes(value) || isEmpty || (field === "response_format" && isText)) return;
  throw new InvalidOptionError(field, JSON.stringify(value), "left out: it is not supported");
}

function readMessage(message: ChatCompletionMessage, where: string): ChatMessage {
  if (typeof message !== "object" || message === null) {
    throw new InvalidOptionError(where, message, "a message: a role and a content");
  }
  const { role, content, name: _passedOver, ...rest } = message;
  refuseMore(rest, where);
  return { role: role === "developer" ? "system" : role, content: readContent(content, where) };
}

function readContent(content: ChatCompletionMessage["content"], where: string): string {
  if (typeof content === "string") return content;
  if (!Array.isArray(content)) {
    throw new InvalidOptionError(`${where}.content`, content, "a text, or a list of text parts");
  }
  return content
    .map((part: Partial<ChatTextPart> | null) => {
      const { type, text } = part ?? {};
      if (type === "text" && typeof text === "string") return text;
      const got = `a part ${JSON.stringify(type ?? part)}`;
      throw new InvalidOptionError(`${where}.content`, got, "text alone");
    })
    .join("");
}
