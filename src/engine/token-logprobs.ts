import type { GpuContext } from "../gpu/device.ts";
import type { Kernel } from "../gpu/kernel.ts";
import type { BufferBinding, DispatchList } from "../gpu/recorder.ts";
import { MAX_LOGPROBS } from "../sampling/options.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import type { StepLogprobs, TokenLogprob } from "./generate-types.ts";

/** Words of a step in the ring: the chosen token's log-probability, then ids and log-probabilities. */
export const LOGPROB_WORDS: number = 1 + 2 * MAX_LOGPROBS;

/** Logits of a workgroup of `logprob_partial`, and its parts: `shaders/shared/logit_parts.wgsl`. */
const WORKGROUP_LOGITS = 4096;
const WORKGROUP_PARTS = 64;

/** Log-probabilities of each step's token and of the best ones, computed and kept on the GPU. */
export class TokenLogprobs {
  /** `u32[slots][LOGPROB_WORDS]`: step `s` goes to `s % slots`. */
  readonly ring: GPUBuffer;
  readonly #gpu: GpuContext;
  readonly #vocabSize: number;
  readonly #kernels: { readonly partial: Kernel; readonly finish: Kernel };
  readonly #parts: { readonly partials: GPUBuffer; readonly sums: GPUBuffer };

  private constructor(
    gpu: GpuContext,
    vocabSize: number,
    kernels: { readonly partial: Kernel; readonly finish: Kernel },
    { ring, ...parts }: Record<"ring" | "partials" | "sums", GPUBuffer>,
  ) {
    this.#gpu = gpu;
    this.#vocabSize = vocabSize;
    this.#kernels = kernels;
    this.#parts = parts;
    this.ring = ring;
  }

  /** @throws GpuOutOfMemoryError */
  static async create(
    gpu: GpuContext,
    vocabSize: number,
    { slots, workgroupSize }: { readonly slots: number; readonly workgroupSize: number },
  ): Promise<TokenLogprobs> {
    const [partial, finish] = await Promise.all([
      gpu.kernels.get({ name: "logprob_partial" }),
      gpu.kernels.get({ name: "token_logprobs", constants: { WORKGROUP_SIZE: workgroupSize } }),
    ]);
    const parts = Math.ceil(vocabSize / WORKGROUP_LOGITS) * WORKGROUP_PARTS;
    const create = (what: string, words: number): GPUBuffer =>
      gpu.buffers.create({
        label: `logprobs ${what}`,
        purpose: "activations",
        bytes: words * 4,
        usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC,
      });
    const words = slots * LOGPROB_WORDS + 3 * parts;
    const buffers = await gpu.allocating("log-probabilities", words * 4, () => ({
      ring: create("ring", slots * LOGPROB_WORDS),
      partials: create("partials", 2 * parts),
      sums: create("sums", parts),
    }));
    return new TokenLogprobs(gpu, vocabSize, { partial, finish }, buffers);
  }

  /** Record it for a step that has chosen its token from these logits, with the `top` best ones. */
  record(list: DispatchList, logits: BufferBinding, state: BufferBinding, top: number): void {
    const { partial, finish } = this.#kernels;
    const { partials, sums } = this.#parts;
    const vocab_size = this.#vocabSize;
    const workgroups = Math.ceil(vocab_size / WORKGROUP_LOGITS);
    list.run(partial, { logits, partials, sums }, { vocab_size }, [workgroups, 1, 1]);
    const buffers = { logits, partials, sums, state, logprobs: this.ring };
    list.run(finish, buffers, { vocab_size, top }, [1, 1, 1]);
  }

  destroy(): void {
    for (const buffer of [this.ring, ...Object.values(this.#parts)]) {
      this.#gpu.buffers.destroy(buffer);
    }
  }
}

/** What the ring's words say of these tokens, `LOGPROB_WORDS` for each. */
export function readLogprobs(
  words: Uint32Array<ArrayBuffer>,
  tokenIds: readonly number[],
  top: number,
  tokenizer: Tokenizer,
): StepLogprobs[] {
  const floats = new Float32Array(words.buffer, words.byteOffset, words.length);
  return tokenIds.map((tokenId, step) => {
    const at = step * LOGPROB_WORDS;
    const best = Array.from({ length: top }, (_, i) => at + 1 + 2 * i)
      .filter((i) => (words[i] as number) < tokenizer.vocabSize) // fewer tokens than were asked for
      .map((i) => describe(words[i] as number, floats[i + 1] as number, tokenizer));
    return { ...describe(tokenId, floats[at] as number, tokenizer), top: best };
  });
}

function describe(tokenId: number, logprob: number, tokenizer: Tokenizer): TokenLogprob {
  const bytes = tokenizer.tokenBytes(tokenId);
  const text = tokenizer.isControl(tokenId)
    ? tokenizer.spelling(tokenId)
    : new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
  return { tokenId, text, bytes: [...bytes], logprob };
}
