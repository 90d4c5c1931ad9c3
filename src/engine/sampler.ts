import type { GpuContext } from "../gpu/device.ts";
import type { BufferBinding, DispatchList } from "../gpu/recorder.ts";
import type { ResolvedSampling } from "../sampling/options.ts";

/** In `tokens`: the step began after a stop token and did nothing. */
export const TOKEN_SKIPPED = 0xffffffff;
/** In `tokens`: the logits held NaN or infinity; the state is done. */
export const TOKEN_UNSOUND = 0xfffffffe;

/** What one sampling reads and changes. */
export interface SamplerStep {
  /** `f32[vocabSize]`, allocated for a multiple of 4. */
  readonly logits: BufferBinding;
  /** `u32[16]`: token, position, step, done (`shaders/shared/state.wgsl`). */
  readonly state: BufferBinding;
  /** `vec4<u32>[tableCount]`: the cache table; y is the length. */
  readonly table: BufferBinding;
  readonly tableCount: number;
  /** `u32[ring]`: the token of step `s` goes to `s % ring`; the ring is the size of the binding. */
  readonly tokens: BufferBinding;
  /** `u32[1 + n]`: the count, then the ids that end the answer. */
  readonly stopIds: BufferBinding;
  /** `u32[ceil(vocabSize / 32)]`: see `seenBitmap`. */
  readonly seen: BufferBinding;
  readonly options: ResolvedSampling;
  /** Whether position and lengths go up by one: in decode, not after a prefill. */
  readonly advance: boolean;
}

/** Chooses tokens on the GPU and ends the step there. */
export interface Sampler {
  /** Compile what these options need; greedy sampling without a penalty is ready from the start. */
  prepare(options: ResolvedSampling): Promise<void>;
  /** Record choosing the next token from the logits, and the end of the step. */
  record(list: DispatchList, step: SamplerStep): void;
  destroy(): void;
}

/** Invocations and logits per invocation of `argmax_partial`. */
const PARTIAL = { WORKGROUP_SIZE: 64, VEC4S: 16 };

/** Make a sampler, ready for greedy sampling. */
export async function createSampler(
  gpu: GpuContext,
  { vocabSize }: { readonly vocabSize: number },
): Promise<Sampler> {
  const partialGroups = Math.ceil(vocabSize / (4 * PARTIAL.VEC4S * PARTIAL.WORKGROUP_SIZE));
  const [argmaxPartial, argmaxStep] = await Promise.all([
    gpu.kernels.get({ name: "argmax_partial", constants: PARTIAL }),
    gpu.kernels.get({ name: "argmax_step" }),
  ]);
  const partials = gpu.buffers.create({
    label: "sampler partials",
    purpose: "activations",
    bytes: partialGroups * PARTIAL.WORKGROUP_SIZE * 8,
    usage: GPUBufferUsage.STORAGE,
  });
  return {
    async prepare() {},
    record(list, step) {
      const { logits, state, table, tableCount, tokens, stopIds, seen, advance, options } = step;
      if (options.temperature !== 0 || options.repetitionPenalty !== 1) {
        throw new Error("these sampling options are not prepared");
      }
      if (logits.size < Math.ceil(vocabSize / 4) * 16) {
        throw new Error(`logits of ${logits.size} bytes are too small for ${vocabSize} tokens`);
      }
      list.run(
        argmaxPartial,
        { logits, partials },
        { vocab_size: vocabSize, penalty: 1, inv_penalty: 1 },
        [partialGroups, 1, 1],
      );
      list.run(
        argmaxStep,
        { partials, stop_ids: stopIds, state, table, tokens, seen },
        { table_count: tableCount, advance: Number(advance) },
        [1, 1, 1],
      );
    },
    destroy() {
      gpu.buffers.destroy(partials);
    },
  };
}
