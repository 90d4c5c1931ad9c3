import type { GpuContext } from "../gpu/device.ts";
import type { Kernel } from "../gpu/kernel.ts";
import type { BufferBinding, DispatchList } from "../gpu/recorder.ts";
import type { ResolvedSampling } from "../sampling/options.ts";

/** Whether something is added to or taken from logits. */
export function adjustsLogits(options: ResolvedSampling): boolean {
  return options.logitBias.length > 0 || countsTokens(options);
}

function countsTokens({ frequencyPenalty, presencePenalty }: ResolvedSampling): boolean {
  return frequencyPenalty !== 0 || presencePenalty !== 0;
}

/** Bias and counts of an answer's tokens on the GPU, which `argmax_partial` reads with ADJUST. */
export class LogitAdjustment {
  /** `f32[vocabSize]` and `u32[vocabSize]`, rounded up to a multiple of 4. */
  readonly buffers: { readonly bias: GPUBuffer; readonly counts: GPUBuffer };
  readonly #gpu: GpuContext;
  readonly #vocabSize: number;
  readonly #countToken: Kernel;

  private constructor(
    gpu: GpuContext,
    vocabSize: number,
    countToken: Kernel,
    buffers: LogitAdjustment["buffers"],
  ) {
    this.#gpu = gpu;
    this.#vocabSize = vocabSize;
    this.#countToken = countToken;
    this.buffers = buffers;
  }

  /** @throws GpuOutOfMemoryError */
  static async create(gpu: GpuContext, vocabSize: number): Promise<LogitAdjustment> {
    const countToken = await gpu.kernels.get({ name: "count_token" });
    const bytes = Math.ceil(vocabSize / 4) * 16;
    const create = (what: string): GPUBuffer =>
      gpu.buffers.create({
        label: `sampler ${what}`,
        purpose: "activations",
        bytes,
        usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST,
      });
    const buffers = await gpu.allocating("bias and penalties", 2 * bytes, () => ({
      bias: create("bias"),
      counts: create("counts"),
    }));
    return new LogitAdjustment(gpu, vocabSize, countToken, buffers);
  }

  /** An answer begins, or goes on after `answer`: its biases, and how often it has each token. */
  begin({ logitBias }: ResolvedSampling, answer: readonly number[]): void {
    const { bias, counts } = this.buffers;
    const words = new Float32Array(bias.size / 4);
    for (const [id, value] of logitBias) words[id] = value;
    const { queue } = this.#gpu.device;
    queue.writeBuffer(bias, 0, words);
    const counted = new Uint32Array(words.length);
    for (const id of answer) counted[id] = (counted[id] as number) + 1;
    queue.writeBuffer(counts, 0, counted);
  }

  /** Count the token that a step has chosen, where a penalty asks for it. */
  record(list: DispatchList, state: BufferBinding, options: ResolvedSampling): void {
    if (!countsTokens(options)) return;
    const { counts } = this.buffers;
    list.run(this.#countToken, { state, counts }, { vocab_size: this.#vocabSize }, [1, 1, 1]);
  }

  destroy(): void {
    for (const buffer of Object.values(this.buffers)) this.#gpu.buffers.destroy(buffer);
  }
}
