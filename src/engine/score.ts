import { ContextLengthError, InvalidOptionError, ShaderError } from "../errors.ts";
import { recordLogits } from "../model/forward.ts";
import { cacheReport, memoryReport } from "./memory.ts";
import { prefill, type PrefillEnd } from "./prefill.ts";
import type { Runtime } from "./runtime.ts";
import type { ScoreOptions, ScoreResult } from "./types.ts";

/** Rows of logits at a time: `[rows][vocabSize]` f32 stays small whatever the text's length. */
const LOGIT_ROWS = 32;

/**
 * Log-probabilities of the tokens from `contextTokens` on. The context is run first, then the rest
 * is appended to its cache; logits are reduced on the GPU, a block of rows at a time.
 */
export async function score(
  runtime: Runtime,
  tokenIds: Uint32Array<ArrayBuffer>,
  options: ScoreOptions,
): Promise<ScoreResult> {
  const { contextTokens, signal, onPrefill } = options;
  const { gpu, cache, config } = runtime;
  signal?.throwIfAborted();
  checkContext(tokenIds.length, contextTokens, config.contextLength);
  const wanted = tokenIds.length - contextTokens;
  const blocks = new LogprobBlocks(runtime, tokenIds.subarray(contextTokens));
  try {
    const progress = { signal, onProgress: onPrefill, promptTokens: contextTokens };
    const context = tokenIds.slice(0, contextTokens);
    const last = { start: contextTokens - 1, tokens: 1 };
    await prefill(runtime, context, (end) => blocks.add(end, last, 0), {
      ...progress,
      evict: true,
    });
    const report = cacheReport(cache, 1);
    if (wanted > 1) {
      const rest = tokenIds.slice(contextTokens, -1);
      const rows = { start: 0, tokens: rest.length };
      await prefill(runtime, rest, (end) => blocks.add(end, rows, 1), {
        ...progress,
        evict: false,
      });
    }
    const logprobs = await blocks.read();
    if (!logprobs.every(Number.isFinite)) {
      throw new ShaderError("logprobs", ["the model's logits are not finite on this GPU"]);
    }
    const nll = -logprobs.reduce((sum, value) => sum + value, 0) / wanted;
    const memory = memoryReport(gpu.buffers, cache, 0);
    const perplexity = Math.exp(nll);
    return { tokenIds: [...tokenIds], logprobs, nll, perplexity, memory, cache: report };
  } finally {
    blocks.destroy();
  }
}

function checkContext(tokens: number, contextTokens: number, limit: number): void {
  if (tokens > limit) throw new ContextLengthError(tokens, limit, "the text");
  if (!Number.isSafeInteger(contextTokens) || contextTokens < 1 || contextTokens >= tokens) {
    const rule = `a whole number from 1 to ${tokens - 1} (the text has ${tokens} tokens)`;
    throw new InvalidOptionError("contextTokens", contextTokens, rule);
  }
}

/** Turns rows of hidden states into log-probabilities of the tokens that come after them. */
class LogprobBlocks {
  readonly #runtime: Runtime;
  readonly #count: number;
  readonly #logits: GPUBuffer;
  readonly #targets: GPUBuffer;
  readonly #logprobs: GPUBuffer;
  readonly #staging: GPUBuffer;

  constructor(runtime: Runtime, targets: Uint32Array<ArrayBuffer>) {
    const { gpu, config } = runtime;
    const { STORAGE, COPY_DST, COPY_SRC, MAP_READ } = GPUBufferUsage;
    const create = (label: string, words: number, usage: number): GPUBuffer =>
      gpu.buffers.create({
        label,
        purpose: usage & MAP_READ ? "staging" : "activations",
        bytes: words * 4,
        usage,
      });
    this.#runtime = runtime;
    this.#count = targets.length;
    const rows = Math.min(LOGIT_ROWS, targets.length);
    this.#logits = create("logits of a block", rows * config.vocabSize, STORAGE);
    this.#targets = create("target tokens", targets.length, STORAGE | COPY_DST);
    this.#logprobs = create("log-probabilities", targets.length, STORAGE | COPY_SRC);
    this.#staging = create("log-probability read-back", targets.length, MAP_READ | COPY_DST);
    gpu.device.queue.writeBuffer(this.#targets, 0, targets);
  }

  /** Row `range.start + i` of the hidden states predicts target `firstTarget + i`. */
  async add(
    { recorder, hidden, submit }: PrefillEnd,
    range: { readonly start: number; readonly tokens: number },
    firstTarget: number,
  ): Promise<void> {
    const { config, linear, weights, gpu } = this.#runtime;
    const kernel = await gpu.kernels.get({ name: "logprobs" });
    for (let done = 0; done < range.tokens; done += LOGIT_ROWS) {
      const tokens = Math.min(LOGIT_ROWS, range.tokens - done);
      const rows = { start: range.start + done, tokens };
      recordLogits(recorder, config, linear, weights, hidden, this.#logits, rows);
      recorder.run(
        kernel,
        { logits: this.#logits, targets: this.#targets, logprobs: this.#logprobs },
        { vocab_size: config.vocabSize, first_row: firstTarget + done },
        [tokens, 1, 1],
      );
      await submit();
    }
  }

  async read(): Promise<number[]> {
    const { gpu } = this.#runtime;
    const encoder = gpu.device.createCommandEncoder();
    encoder.copyBufferToBuffer(this.#logprobs, 0, this.#staging, 0, this.#count * 4);
    gpu.device.queue.submit([encoder.finish()]);
    await gpu.settled(this.#staging.mapAsync(GPUMapMode.READ));
    return [...new Float32Array(this.#staging.getMappedRange())];
  }

  destroy(): void {
    for (const buffer of [this.#logits, this.#targets, this.#logprobs, this.#staging]) {
      this.#runtime.gpu.buffers.destroy(buffer);
    }
  }
}
