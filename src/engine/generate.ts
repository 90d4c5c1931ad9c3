import {
  ContextLengthError,
  DeviceLostError,
  GpuOutOfMemoryError,
  InvalidOptionError,
  ShaderError,
} from "../errors.ts";
import { type ResolvedSampling, resolveSampling } from "../sampling/options.ts";
import { StreamingDetokenizer } from "../text/detokenizer.ts";
import { StopStrings } from "../text/stop-strings.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import type { Reuse } from "./conversation.ts";
import { cacheReport, cacheSample, memoryReport } from "./memory.ts";
import type { EngineParts } from "./parts.ts";
import { prefillPrompt, readAnswer } from "./prefill-prompt.ts";
import { promptTokens } from "./prompt-tokens.ts";
import type { Recovery } from "./recovery.ts";
import { withSmallerPlan } from "./smaller-plan.ts";
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
} from "./generate-types.ts";

const DEFAULT_MAX_TOKENS = 512;

/**
 * Answer a prompt, piece by piece. What the cache has seen of the prompt is not read again; when
 * this throws or is broken off, the cache is as it was before. When the device is lost, the answer goes
 * on on another one, which reads prompt and answer again.
 * @throws DeviceLostError with the text so far when that does not help.
 */
export async function* generate(
  recovery: Recovery,
  prompt: Prompt,
  options: GenerateOptions,
): AsyncGenerator<Piece, GenerateResult> {
  options.signal?.throwIfAborted();
  checkStop(options.stop ?? []);
  const first = recovery.present;
  const { runtime, tokenizer, conversation } = first;
  const sampling = resolveSampling(options, runtime.config.vocabSize);
  const reuse = conversation.find(promptTokens(tokenizer, prompt));
  const { contextLength } = runtime.config;
  const maxTokens = tokensToGenerate(reuse.tokenIds.length, options, contextLength);
  const started = startAnswer(tokenizer, options.stop ?? []);
  for (;;) {
    try {
      const parts = await recovery.parts();
      const from = parts === first ? reuse : { tokenIds: reuse.tokenIds, tokens: 0 };
      return yield* attempt(parts, from, started, { ...options, maxTokens, sampling });
    } catch (error) {
      const lost = await recovery.lossBehind(error);
      if (error instanceof GpuOutOfMemoryError) {
        const { runtime: current } = await recovery.parts();
        throw await withSmallerPlan(current, error, reuse.tokenIds.length);
      }
      if (lost === undefined) throw error;
      if (recovery.isSpent) {
        const message = "and so were those that took its place";
        throw new DeviceLostError(lost.reason, message, { cause: lost }, started.text);
      }
    }
  }
}

async function* attempt(
  parts: EngineParts,
  reuse: Reuse,
  started: StartedAnswer,
  options: AnswerOptions,
): AsyncGenerator<Piece, GenerateResult> {
  const undo = await undoOf(parts);
  let finished = false;
  try {
    await parts.conversation.begin(reuse);
    const result = yield* answer(parts, reuse, started, options);
    finished = true;
    return result;
  } finally {
    parts.runtime.tracer?.leave();
    if (!finished) await undo();
  }
}

/** What brings everything back to where it is now, after a call has changed it. */
export async function undoOf({ conversation, decoder }: EngineParts): Promise<() => Promise<void>> {
  const logits = conversation.wantsLogits ? await decoder.readPromptLogits() : undefined;
  return async () => {
    if (logits !== undefined) decoder.writePromptLogits(logits);
    await conversation.rollBack();
  };
}

/** What there is of an answer; it outlives the device that it was begun on. */
interface StartedAnswer {
  readonly tokenIds: number[];
  readonly logprobs: StepLogprobs[];
  text: string;
  /** Why it ended; undefined as long as it goes on. */
  finishReason?: FinishReason;
  readonly detokenizer: StreamingDetokenizer;
  readonly stops: StopStrings;
  readonly startedAt: number;
  /** When the prompt had been read, the first token came, and the last one so far. */
  prefilledAt?: number;
  firstAt?: number;
  lastAt?: number;
}

function startAnswer(tokenizer: Tokenizer, stop: readonly string[]): StartedAnswer {
  return {
    tokenIds: [],
    logprobs: [],
    text: "",
    detokenizer: new StreamingDetokenizer(tokenizer),
    stops: new StopStrings(stop),
    startedAt: performance.now(),
  };
}

interface AnswerOptions extends GenerateOptions {
  readonly maxTokens: number;
  readonly sampling: ResolvedSampling;
}

async function* answer(
  { runtime, tokenizer, conversation, decoder, loop }: EngineParts,
  reuse: Reuse,
  started: StartedAnswer,
  options: AnswerOptions,
): AsyncGenerator<Piece, GenerateResult> {
  const { tokenIds: promptTokenIds, tokens: cachedTokens } = reuse;
  const { signal, sampling, maxTokens } = options;
  const { sampler, cache, gpu, tracer } = runtime;
  const { tokenIds, logprobs, detokenizer, stops } = started;
  const known = tokenIds.length; // on the device that was lost
  await sampler.begin(sampling);
  decoder.begin(promptTokenIds, tokenizer.eosTokenIds);
  const { passes } = await prefillPrompt(runtime, decoder, reuse, options);
  await conversation.prompted(promptTokenIds);
  if (known > 0) {
    // Only now: reading the prompt has chosen a first token once more, and noted it as seen.
    await sampler.begin(sampling, tokenIds);
    decoder.begin([...promptTokenIds, ...tokenIds], tokenizer.eosTokenIds);
    await readAnswer(runtime, decoder, tokenIds, promptTokenIds.length, options);
  }
  started.prefilledAt ??= performance.now();
  decoder.record(sampling);
  tracer?.enter("decode");

  const steps = decoder.steps(sampling);
  // It may have ended already, when what was still in flight was lost.
  const groups = started.finishReason === undefined ? loop.run(steps, maxTokens, known) : [];
  for await (const { tokens: group, logprobs: words } of groups) {
    signal?.throwIfAborted();
    started.lastAt = performance.now();
    started.firstAt ??= started.lastAt;
    const ids = takeUntilStop(group, tokenizer.eosTokenIds);
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
    cache.noteTokens?.(promptTokenIds.length + tokenIds.length - 1);
    if (tracer !== undefined) {
      const { tokens, fullBytes } = cacheSample(cache);
      tracer.sample({ tokens, fullBytes });
    }
    const stopped = stops.found || ids.length < group.length;
    if (stopped) started.finishReason = "stop";
    else if (tokenIds.length === maxTokens) started.finishReason = "length";
    const ended = started.finishReason !== undefined;
    if (ended) piece += stops.push(detokenizer.flush()) + stops.flush();
    started.text += piece;
    if (piece !== "" || taken.length > 0) {
      yield { text: piece, tokenIds: taken, ...(told === undefined ? {} : { logprobs: told }) };
    }
    if (ended) break;
  }
  // Every token has its row but for the last one, unless that brought a stop token. Behind a stop
  // text some steps may have run already: their rows are dropped.
  const rows = Math.min(
    stops.found ? tokenIds.length - 1 : tokenIds.length,
    known + steps.submitted(),
  );
  cache.settle(promptTokenIds.length + rows, stops.found);
  conversation.answered(tokenIds, rows);
  const { startedAt, prefilledAt, firstAt = prefilledAt, lastAt = prefilledAt } = started;
  const timings = timingsOf({
    prefillTokens: promptTokenIds.length - cachedTokens,
    decodeTokens: tokenIds.length,
    startedAt,
    prefilledAt,
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
    start: tracer.now(startedAt),
    end: tracer.now(),
    prefillTokensPerSecond: timings.prefillTokensPerSecond,
    decodeTokensPerSecond: timings.decodeTokensPerSecond,
    timeToFirstTokenMs: timings.timeToFirstTokenMs,
  });
  return {
    text: started.text,
    tokenIds,
    ...(sampling.logprobs === undefined ? {} : { logprobs }),
    promptTokenIds: [...promptTokenIds],
    finishReason: started.finishReason ?? "length",
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
  readonly startedAt: number;
  readonly prefilledAt: number;
  readonly firstAt: number;
  readonly lastAt: number;
}): GenerateTimings {
  const prefillMs = t.prefilledAt - t.startedAt;
  const decodeTokens = Math.max(t.decodeTokens - 1, 0); // the first one belongs to the prefill
  const decodeMs = t.lastAt - t.firstAt;
  return {
    prefillTokens: t.prefillTokens,
    prefillMs,
    prefillTokensPerSecond: (1000 * t.prefillTokens) / prefillMs,
    decodeTokens,
    decodeMs,
    decodeTokensPerSecond: decodeMs > 0 ? (1000 * decodeTokens) / decodeMs : 0,
    timeToFirstTokenMs: t.firstAt - t.startedAt,
  };
}
