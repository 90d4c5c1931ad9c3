import { ContextLengthError, InvalidOptionError, ShaderError } from "../errors.ts";
import { type ResolvedSampling, resolveSampling } from "../sampling/options.ts";
import { StreamingDetokenizer } from "../text/detokenizer.ts";
import { StopStrings } from "../text/stop-strings.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import type { Conversation, Reuse } from "./conversation.ts";
import type { DecodeLoop } from "./decode-loop.ts";
import type { Decoder } from "./decoder.ts";
import { cacheReport, cacheSample, memoryReport } from "./memory.ts";
import { prefillPrompt } from "./prefill-prompt.ts";
import type { Runtime } from "./runtime.ts";
import { TOKEN_SKIPPED, TOKEN_UNSOUND } from "./sampler.ts";
import { readLogprobs } from "./token-logprobs.ts";
import type {
  FinishReason,
  GenerateOptions,
  GenerateResult,
  GenerateTimings,
  Piece,
  Prompt,
  StepLogprobs,
} from "./types.ts";

const DEFAULT_MAX_TOKENS = 512;

/** What an answer is made with. */
export interface Generator {
  readonly runtime: Runtime;
  readonly tokenizer: Tokenizer;
  readonly conversation: Conversation;
  readonly decoder: Decoder;
  readonly loop: DecodeLoop;
}

/**
 * Token ids of a prompt: a raw text as it is, a conversation through the chat template.
 * @throws InvalidOptionError for ids outside the vocabulary, ChatTemplateError
 */
export function promptTokens(tokenizer: Tokenizer, prompt: Prompt): Uint32Array<ArrayBuffer> {
  if (typeof prompt !== "string") {
    if (isTokenIds(prompt)) return checkedTokenIds(prompt, tokenizer.vocabSize);
    return Uint32Array.from(tokenizer.encodeChat(prompt, { addGenerationPrompt: true }));
  }
  const ids = tokenizer.encode(prompt);
  const { addBos, bosTokenId } = tokenizer;
  const start = addBos && bosTokenId !== undefined ? [bosTokenId] : [];
  return Uint32Array.from([...start, ...ids]);
}

function isTokenIds(prompt: Exclude<Prompt, string>): prompt is readonly number[] {
  return Array.isArray(prompt) && typeof prompt[0] === "number";
}

/** @throws InvalidOptionError for ids outside the vocabulary. */
export function checkedTokenIds(
  ids: readonly number[],
  vocabSize: number,
): Uint32Array<ArrayBuffer> {
  const wrong = ids.find((id) => !Number.isInteger(id) || id < 0 || id >= vocabSize);
  if (wrong !== undefined) {
    throw new InvalidOptionError("token id", wrong, `from 0 to ${vocabSize - 1}`);
  }
  return Uint32Array.from(ids);
}

/**
 * Answer a prompt, piece by piece. What the cache has seen of the prompt is not read again; when
 * this throws or is broken off, the cache is as it was before.
 */
export async function* generate(
  generator: Generator,
  prompt: Prompt,
  options: GenerateOptions,
): AsyncGenerator<Piece, GenerateResult> {
  const { runtime, tokenizer, conversation, decoder } = generator;
  options.signal?.throwIfAborted();
  const sampling = resolveSampling(options, runtime.config.vocabSize);
  checkStop(options.stop ?? []);
  const reuse = conversation.find(promptTokens(tokenizer, prompt));
  const { contextLength } = runtime.config;
  const maxTokens = tokensToGenerate(reuse.tokenIds.length, options, contextLength);
  const logits = conversation.wantsLogits ? await decoder.readPromptLogits() : undefined;
  let finished = false;
  try {
    await conversation.begin(reuse);
    const result = yield* answer(generator, reuse, { ...options, maxTokens, sampling });
    finished = true;
    return result;
  } finally {
    runtime.tracer?.leave();
    if (!finished) {
      if (logits !== undefined) decoder.writePromptLogits(logits);
      await conversation.rollBack();
    }
  }
}

interface AnswerOptions extends GenerateOptions {
  readonly maxTokens: number;
  readonly sampling: ResolvedSampling;
}

async function* answer(
  { runtime, tokenizer, conversation, decoder, loop }: Generator,
  reuse: Reuse,
  options: AnswerOptions,
): AsyncGenerator<Piece, GenerateResult> {
  const { tokenIds: promptTokenIds, tokens: cachedTokens } = reuse;
  const started = performance.now();
  const { signal, stop = [], sampling, maxTokens } = options;
  const { sampler, cache, gpu, tracer } = runtime;
  await sampler.begin(sampling);
  decoder.begin(promptTokenIds, tokenizer.eosTokenIds);
  const { passes } = await prefillPrompt(runtime, decoder, reuse, options);
  const prefilled = performance.now();
  await conversation.prompted(promptTokenIds);
  decoder.record(sampling);
  tracer?.enter("decode");

  const tokenIds: number[] = [];
  const logprobs: StepLogprobs[] = [];
  const detokenizer = new StreamingDetokenizer(tokenizer);
  const stops = new StopStrings(stop);
  const steps = decoder.steps(sampling);
  let [text, firstAt, lastAt] = ["", prefilled, prefilled];
  let finishReason: FinishReason = "length";
  for await (const { tokens: group, logprobs: words } of loop.run(steps, maxTokens)) {
    signal?.throwIfAborted();
    lastAt = performance.now();
    if (tokenIds.length === 0) firstAt = lastAt;
    const ids = takeUntilStop(group, tokenizer.eosTokenIds);
    if (ids.length < group.length) finishReason = "stop";
    let piece = "";
    const taken: number[] = [];
    for (const id of ids) {
      taken.push(id);
      piece += stops.push(detokenizer.push(id));
      if (stops.found) break; // what comes after in this group is not part of the answer
    }
    tokenIds.push(...taken);
    const told = words && readLogprobs(words, taken, sampling.logprobs ?? 0, tokenizer);
    logprobs.push(...(told ?? []));
    if (tracer !== undefined) {
      const { tokens, fullBytes } = cacheSample(
        cache,
        Math.max(promptTokenIds.length + tokenIds.length - 1, cache.fullTokens),
      );
      tracer.sample({ tokens, fullBytes });
    }
    if (stops.found) finishReason = "stop";
    const ended = finishReason === "stop" || tokenIds.length === maxTokens;
    if (ended) piece += stops.push(detokenizer.flush()) + stops.flush();
    text += piece;
    if (piece !== "" || taken.length > 0) {
      yield { text: piece, tokenIds: taken, ...(told === undefined ? {} : { logprobs: told }) };
    }
    if (ended) break;
  }
  // Every token has its row but for the last one, unless that brought a stop token. Behind a stop
  // text some steps may have run already: their rows are dropped.
  const rows = Math.min(stops.found ? tokenIds.length - 1 : tokenIds.length, steps.submitted());
  cache.settle(promptTokenIds.length + rows, stops.found);
  conversation.answered(tokenIds, rows);
  const timings = timingsOf({
    prefillTokens: promptTokenIds.length - cachedTokens,
    decodeTokens: tokenIds.length,
    started,
    prefilled,
    firstAt,
    lastAt,
  });
  const usage = {
    promptTokens: promptTokenIds.length,
    cachedTokens,
    completionTokens: tokenIds.length,
  };
  tracer?.sample(cacheSample(cache));
  tracer?.call({
    ...usage,
    start: tracer.now(started),
    end: tracer.now(),
    prefillTokensPerSecond: timings.prefillTokensPerSecond,
    decodeTokensPerSecond: timings.decodeTokensPerSecond,
    timeToFirstTokenMs: timings.timeToFirstTokenMs,
  });
  return {
    text,
    tokenIds,
    ...(sampling.logprobs === undefined ? {} : { logprobs }),
    promptTokenIds: [...promptTokenIds],
    finishReason,
    usage,
    timings,
    memory: memoryReport(gpu.buffers, cache, conversation.hostBytes),
    cache: cacheReport(cache, passes),
  };
}

/** @throws ShaderError when the logits were not finite. */
function takeUntilStop(group: Uint32Array, stopIds: ReadonlySet<number>): number[] {
  if (group.includes(TOKEN_UNSOUND)) {
    throw new ShaderError("sampling", ["the model's logits are not finite on this GPU"]);
  }
  const end = group.findIndex((id) => id === TOKEN_SKIPPED || stopIds.has(id));
  return [...(end < 0 ? group : group.subarray(0, end))];
}

/** @throws InvalidOptionError, ContextLengthError */
function tokensToGenerate(
  promptLength: number,
  { maxTokens }: GenerateOptions,
  contextLength: number,
): number {
  if (promptLength === 0) throw new InvalidOptionError("prompt", "none", "at least one token");
  if (promptLength >= contextLength) {
    throw new ContextLengthError(promptLength + 1, contextLength, "the prompt and one new token");
  }
  const room = contextLength - promptLength;
  if (maxTokens === undefined) return Math.min(DEFAULT_MAX_TOKENS, room);
  if (!Number.isSafeInteger(maxTokens) || maxTokens < 1) {
    throw new InvalidOptionError("maxTokens", maxTokens, "a whole number of at least 1");
  }
  if (maxTokens > room) {
    const what = `the prompt (${promptLength} tokens) with maxTokens ${maxTokens}`;
    throw new ContextLengthError(promptLength + maxTokens, contextLength, what);
  }
  return maxTokens;
}

function checkStop(stop: unknown): void {
  const rule = "a list of texts that are not empty";
  if (!Array.isArray(stop)) throw new InvalidOptionError("stop", stop, rule);
  const wrong: unknown[] = stop.filter((text) => typeof text !== "string" || text === "");
  if (wrong.length > 0) throw new InvalidOptionError("stop", JSON.stringify(wrong[0]), rule);
}

function timingsOf(t: {
  readonly prefillTokens: number;
  readonly decodeTokens: number;
  readonly started: number;
  readonly prefilled: number;
  readonly firstAt: number;
  readonly lastAt: number;
}): GenerateTimings {
  const prefillMs = t.prefilled - t.started;
  const decodeTokens = Math.max(t.decodeTokens - 1, 0); // the first one belongs to the prefill
  const decodeMs = t.lastAt - t.firstAt;
  return {
    prefillTokens: t.prefillTokens,
    prefillMs,
    prefillTokensPerSecond: (1000 * t.prefillTokens) / prefillMs,
    decodeTokens,
    decodeMs,
    decodeTokensPerSecond: decodeMs > 0 ? (1000 * decodeTokens) / decodeMs : 0,
    timeToFirstTokenMs: t.firstAt - t.started,
  };
}
