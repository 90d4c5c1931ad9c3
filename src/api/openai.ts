import type {
  AnswerResult,
  Generation,
  GenerateResult,
  StepLogprobs,
  TokenLogprob,
  Usage,
} from "../engine/generate-types.ts";
import type { ChatEngine, Engine } from "../engine/types.ts";
import { readRequest } from "./openai-request.ts";
import type {
  ChatCompletion,
  ChatCompletionChunk,
  ChatCompletionOptions,
  ChatCompletionRequest,
  ChatCompletions,
  ChatCompletionUsage,
  ChatLogprobs,
  ChatTopLogprob,
} from "./openai-types.ts";

/**
 * An engine in the shape of OpenAI's client:
 *
 * ```ts
 * const { chat } = openAi(engine);
 * const answer = await chat.completions.create({ messages: [{ role: "user", content: "Hello!" }] });
 * ```
 *
 * With `stream: true` it gives chunks; breaking off their loop stops the GPU. What the engine can't do
 * is refused by name. The second argument takes a `signal`.
 *
 * @throws InvalidOptionError for fields that are not supported, and what `engine.generate` throws.
 */
export function openAi(engine: ChatEngine): {
  readonly chat: { readonly completions: ChatCompletions };
} {
  const create = async (
    request: ChatCompletionRequest,
    options: ChatCompletionOptions = {},
  ): Promise<ChatCompletion | AsyncIterable<ChatCompletionChunk>> => {
    const { messages, options: generateOptions } = readRequest(request);
    options.signal?.throwIfAborted();
    const { signal } = options;
    const generation = engine.generate(messages, {
      ...generateOptions,
      ...(signal === undefined ? {} : { signal }),
    });
    const head = {
      id: `chatcmpl-${Math.random().toString(36).slice(2)}`,
      created: Math.floor(Date.now() / 1000),
      model: request.model ?? (engine as Partial<Engine>).config?.name ?? "",
    };
    if (request.stream === true) return chunks(generation, head, request);
    return completion(await generation.result, head);
  };
  return { chat: { completions: { create: create as ChatCompletions["create"] } } };
}

/** What all parts of an answer say of it. */
type Head = Pick<ChatCompletion, "id" | "created" | "model">;

function completion(result: AnswerResult, head: Head): ChatCompletion {
  const { text, finishReason, usage, logprobs } = result;
  const message = { role: "assistant", content: text, refusal: null } as const;
  return {
    ...head,
    object: "chat.completion",
    choices: [{ index: 0, message, logprobs: logprobsOf(logprobs), finish_reason: finishReason }],
    ...(usage === undefined ? {} : { usage: usageOf(result, usage) }),
  };
}

async function* chunks(
  generation: Generation<AnswerResult>,
  head: Head,
  { stream_options }: ChatCompletionRequest,
): AsyncGenerator<ChatCompletionChunk> {
  const includeUsage = stream_options?.include_usage === true;
  type Choice = ChatCompletionChunk["choices"][number];
  const chunk = (delta: Choice["delta"], more: Partial<Choice> = {}) =>
    ({
      ...head,
      object: "chat.completion.chunk",
      choices: [{ index: 0, delta, logprobs: null, finish_reason: null, ...more }],
      ...(includeUsage ? { usage: null } : {}),
    }) as const;
  yield chunk({ role: "assistant", content: "" });
  for await (const { text, logprobs } of generation) {
    if (text === "" && logprobs === undefined) continue;
    yield chunk({ content: text }, { logprobs: logprobsOf(logprobs) });
  }
  const result = await generation.result;
  yield chunk({}, { finish_reason: result.finishReason });
  if (includeUsage && result.usage !== undefined) {
    const usage = usageOf(result, result.usage);
    yield { ...head, object: "chat.completion.chunk", choices: [], usage };
  }
}

/** JSON has no infinity: the value by which OpenAI's API says "very unlikely". */
const LEAST_LOGPROB = -9999;

function logprobsOf(steps: readonly StepLogprobs[] | undefined): ChatLogprobs | null {
  if (steps === undefined) return null;
  const content = steps.map((step) => ({ ...wire(step), top_logprobs: step.top.map(wire) }));
  return { content, refusal: null };
}

function wire({ text, logprob, bytes }: TokenLogprob): ChatTopLogprob {
  return {
    token: text,
    logprob: Math.max(logprob, LEAST_LOGPROB),
    bytes: bytes.length > 0 ? bytes : null,
  };
}

function usageOf(
  result: AnswerResult | GenerateResult,
  { promptTokens, completionTokens, cachedTokens }: Usage,
): ChatCompletionUsage {
  const { timings } = result;
  return {
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    total_tokens: promptTokens + completionTokens,
    prompt_tokens_details: { cached_tokens: cachedTokens },
    ...("memory" in result ? { kv_cache: kvCacheOf(result) } : {}),
    extra: {
      time_to_first_token_s: timings.timeToFirstTokenMs / 1000,
      prefill_tokens_per_s: timings.prefillTokensPerSecond,
      decode_tokens_per_s: timings.decodeTokensPerSecond,
    },
  };
}

function kvCacheOf({ memory, cache }: GenerateResult): ChatCompletionUsage["kv_cache"] & object {
  return {
    policy: cache.policy,
    allocated_bytes: memory.kv.allocated,
    full_bytes: memory.kv.full,
    saved_bytes: memory.kv.saved,
    peak_bytes: memory.kv.peak,
    evicted: cache.evicted,
  };
}
