import { ShaderError } from "../errors.ts";
import type { Kernel } from "../gpu/kernel.ts";
import { recordLogits } from "../model/forward.ts";
import type { PrefillEnd } from "./prefill.ts";
import type { Runtime } from "./runtime.ts";

/** Rows of logits at a time: `[rows][vocabSize]` f32 stays small whatever the text's length. */
const LOGIT_ROWS = 32;

/** Turns rows of hidden states into log-probabilities of the tokens that come after them. */
export class LogprobBlocks {
  readonly #runtime: Runtime;
  readonly #kernel: Kernel;
  readonly #count: number;
  readonly #logits: GPUBuffer;
  readonly #targets: GPUBuffer;
  readonly #logprobs: GPUBuffer;
  readonly #staging: GPUBuffer;

  private constructor(runtime: Runtime, kernel: Kernel, targets: Uint32Array<ArrayBuffer>) {
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
    this.#kernel = kernel;
    this.#count = targets.length;
    const rows = Math.min(LOGIT_ROWS, targets.length);
    this.#logits = create("logits of a block", rows * config.vocabSize, STORAGE);
    this.#targets = create("target tokens", targets.length, STORAGE | COPY_DST);
    this.#logprobs = create("log-probabilities", targets.length, STORAGE | COPY_SRC);
    this.#staging = create("log-probability read-back", targets.length, MAP_READ | COPY_DST);
    gpu.device.queue.writeBuffer(this.#targets, 0, targets);
  }

  /**
   * Make room for the log-probabilities of `targets`.
   * @throws GpuOutOfMemoryError
   */
  static async create(runtime: Runtime, targets: Uint32Array<ArrayBuffer>): Promise<LogprobBlocks> {
    const { gpu, config } = runtime;
    const kernel = await gpu.kernels.get({ name: "logprobs" });
    const logitBytes = Math.min(LOGIT_ROWS, targets.length) * config.vocabSize * 4;
    return gpu.allocating(
      "logits to score",
      logitBytes,
      () => new LogprobBlocks(runtime, kernel, targets),
    );
  }

  /** Row `range.start + i` of the hidden states predicts target `firstTarget + i`. */
  async add(
    { recorder, hidden, submit }: PrefillEnd,
    range: { readonly start: number; readonly tokens: number },
    firstTarget: number,
  ): Promise<void> {
    const { config, linear, weights } = this.#runtime;
    for (let done = 0; done < range.tokens; done += LOGIT_ROWS) {
      const tokens = Math.min(LOGIT_ROWS, range.tokens - done);
      const rows = { start: range.start + done, tokens };
      recordLogits(recorder, config, linear, weights, hidden, this.#logits, rows);
      recorder.run(
        this.#kernel,
        { logits: this.#logits, targets: this.#targets, logprobs: this.#logprobs },
        { vocab_size: config.vocabSize, first_row: firstTarget + done },
        [tokens, 1, 1],
      );
      await submit();
    }
  }

  /**
   * Natural log-probabilities of all targets, when all rows were added.
   * @throws ShaderError when the logits were not finite.
   */
  async read(): Promise<number[]> {
    const { gpu } = this.#runtime;
    const encoder = gpu.device.createCommandEncoder();
    encoder.copyBufferToBuffer(this.#logprobs, 0, this.#staging, 0, this.#count * 4);
    gpu.device.queue.submit([encoder.finish()]);
    await gpu.settled(this.#staging.mapAsync(GPUMapMode.READ));
    const logprobs = [...new Float32Array(this.#staging.getMappedRange())];
    if (!logprobs.every(Number.isFinite)) {
      throw new ShaderError("logprobs", ["the model's logits are not finite on this GPU"]);
    }
    return logprobs;
  }

  destroy(): void {
    for (const buffer of [this.#logits, this.#targets, this.#logprobs, this.#staging]) {
      this.#runtime.gpu.buffers.destroy(buffer);
    }
  }
}
