import { UnsupportedModelError } from "../errors.ts";
import type { GpuContext } from "../gpu/device.ts";
import type { Kernel } from "../gpu/kernel.ts";
import type { BufferBinding, DispatchList, Workgroups } from "../gpu/recorder.ts";
import type { ResolvedSampling } from "../sampling/options.ts";
import { TOKEN_RING_SLOTS } from "./decode-loop.ts";
import { Lazy } from "./lazy.ts";
import { adjustsLogits, LogitAdjustment } from "./logit-adjustment.ts";
import { TokenLogprobs } from "./token-logprobs.ts";

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
  /** Log-probabilities by step, from the first `begin` on that asks for them. */
  readonly logprobs: GPUBuffer | undefined;
  /**
   * An answer with these options begins, or goes on after the tokens `answer`: compile and allocate
   * what they need, once, and forget the tokens of the answer before. Greedy sampling that changes no
   * logits is ready from the start.
   */
  begin(options: ResolvedSampling, answer?: readonly number[]): Promise<void>;
  /** Record choosing the next token from the logits, the end of the step, and what is told of it. */
  record(list: DispatchList, step: SamplerStep): void;
  destroy(): void;
}

/** `BINS` and `BIN_NATS` of `shaders/shared/sampling_bins.wgsl`. */
const BINS = 1024;
const BIN_NATS = 1 / 32;

/** The histogram's counters hold the weights of so many tokens. */
const MAX_VOCAB = 2 ** 18;

/** Invocations of a workgroup, and vectors of 4 logits per invocation, of `argmax_partial`. */
const PARTIAL_SIZE = { WORKGROUP_SIZE: 64, VEC4S: 16 };

/** Logits per workgroup of `sample_histogram`. */
const HISTOGRAM_LOGITS = 8192;

const ONE_WORKGROUP: Workgroups = [1, 1, 1];

/** What every sampling needs. */
interface GreedyParts {
  readonly argmaxPartial: Kernel;
  readonly argmaxStep: Kernel;
  readonly partials: GPUBuffer;
}

/** What temperature, penalties or biases need beyond that. */
interface SampledParts {
  readonly argmaxPartialKeys: Kernel;
  readonly sampleHistogram: Kernel;
  readonly sampleSelect: Kernel;
  readonly sampleDraw: Kernel;
  readonly keys: GPUBuffer;
  readonly histogram: GPUBuffer;
  readonly selection: GPUBuffer;
}

/**
 * Make a sampler, ready for greedy sampling.
 * @throws UnsupportedModelError when the vocabulary is larger than the kernels can count.
 */
export async function createSampler(
  gpu: GpuContext,
  { vocabSize }: { readonly vocabSize: number },
): Promise<Sampler> {
  if (vocabSize > MAX_VOCAB) {
    throw new UnsupportedModelError(`a vocabulary of ${vocabSize}`, [`up to ${MAX_VOCAB} tokens`]);
  }
  const [argmaxPartial, argmaxStep] = await Promise.all([
    gpu.kernels.get({ name: "argmax_partial", constants: PARTIAL_SIZE }),
    gpu.kernels.get({ name: "argmax_step", constants: { WORKGROUP_SIZE: workgroupSize(gpu) } }),
  ]);
  const bytes = partialWorkgroups(vocabSize) * PARTIAL_SIZE.WORKGROUP_SIZE * 8;
  const partials = createBuffer(gpu, "partials", bytes);
  return new GpuSampler(gpu, vocabSize, { argmaxPartial, argmaxStep, partials });
}

class GpuSampler implements Sampler {
  readonly #gpu: GpuContext;
  readonly #vocabSize: number;
  readonly #greedy: GreedyParts;
  readonly #sampled: Lazy<SampledParts>;
  readonly #adjustment: Lazy<LogitAdjustment>;
  readonly #adjustedPartial: Lazy<Kernel>;
  readonly #logprobs: Lazy<TokenLogprobs>;

  constructor(gpu: GpuContext, vocabSize: number, greedy: GreedyParts) {
    this.#gpu = gpu;
    this.#vocabSize = vocabSize;
    this.#greedy = greedy;
    this.#sampled = new Lazy(() => this.#createSampled());
    this.#adjustment = new Lazy(() => LogitAdjustment.create(gpu, vocabSize));
    this.#adjustedPartial = new Lazy(() =>
      gpu.kernels.get({
        name: "argmax_partial",
        flags: ["KEYS", "ADJUST"],
        constants: PARTIAL_SIZE,
      }),
    );
    const sizes = { slots: TOKEN_RING_SLOTS, workgroupSize: workgroupSize(gpu) };
    this.#logprobs = new Lazy(() => TokenLogprobs.create(gpu, vocabSize, sizes));
  }

  get logprobs(): GPUBuffer | undefined {
    return this.#logprobs.value?.ring;
  }

  async begin(options: ResolvedSampling, answer: readonly number[] = []): Promise<void> {
    // One after the other: a failed allocation frees what was made since it began.
    if (!isPlainGreedy(options)) await this.#sampled.get();
    if (options.logprobs !== undefined) await this.#logprobs.get();
    if (!adjustsLogits(options)) return;
    await this.#adjustedPartial.get();
    (await this.#adjustment.get()).begin(options, answer);
  }

  record(list: DispatchList, step: SamplerStep): void {
    const { logits, options } = step;
    if (logits.size < Math.ceil(this.#vocabSize / 4) * 16) {
      throw new Error(`logits of ${logits.size} bytes are too small for ${this.#vocabSize} tokens`);
    }
    if (isPlainGreedy(options)) {
      const { argmaxPartial, partials } = this.#greedy;
      const grid: Workgroups = [partialWorkgroups(this.#vocabSize), 1, 1];
      list.run(argmaxPartial, { logits, partials }, this.#penalties(options), grid);
      this.#recordArgmax(list, step);
    } else {
      const sampled = prepared(this.#sampled);
      this.#recordKeys(list, step, sampled);
      if (options.temperature === 0) this.#recordArgmax(list, step);
      else this.#recordDraw(list, step, sampled);
    }
    if (adjustsLogits(options)) prepared(this.#adjustment).record(list, step.state, options);
    if (options.logprobs === undefined) return;
    prepared(this.#logprobs).record(list, logits, step.state, options.logprobs);
  }

  destroy(): void {
    const { buffers } = this.#gpu;
    buffers.destroy(this.#greedy.partials);
    this.#adjustment.value?.destroy();
    this.#logprobs.value?.destroy();
    if (this.#sampled.value === undefined) return;
    const { keys, histogram, selection } = this.#sampled.value;
    for (const buffer of [keys, histogram, selection]) buffers.destroy(buffer);
  }

  /** Logits as keys, with penalties and biases. */
  #recordKeys(
    list: DispatchList,
    { logits, seen, options }: SamplerStep,
    parts: SampledParts,
  ): void {
    const { argmaxPartialKeys, keys, histogram } = parts;
    const buffers = { logits, seen, partials: this.#greedy.partials, keys, histogram };
    const params = this.#penalties(options);
    const grid: Workgroups = [partialWorkgroups(this.#vocabSize), 1, 1];
    if (!adjustsLogits(options)) {
      list.run(argmaxPartialKeys, buffers, params, grid);
      return;
    }
    const { frequencyPenalty, presencePenalty } = options;
    const kernel = prepared(this.#adjustedPartial);
    const adjusting = { ...buffers, ...prepared(this.#adjustment).buffers };
    const more = { frequency_penalty: frequencyPenalty, presence_penalty: presencePenalty };
    list.run(kernel, adjusting, { ...params, ...more }, grid);
  }

  #penalties({ repetitionPenalty }: ResolvedSampling): Record<string, number> {
    return {
      vocab_size: this.#vocabSize,
      penalty: repetitionPenalty,
      inv_penalty: 1 / repetitionPenalty,
    };
  }

  #recordArgmax(list: DispatchList, step: SamplerStep): void {
    const { argmaxStep, partials } = this.#greedy;
    list.run(argmaxStep, { partials, ...stepBuffers(step) }, stepParams(step), ONE_WORKGROUP);
  }

  #recordDraw(list: DispatchList, step: SamplerStep, parts: SampledParts): void {
    const { temperature, topK, topP, minP, seed } = step.options;
    const { keys, histogram, selection } = parts;
    const { partials } = this.#greedy;
    const selects = topK > 0 || topP < 1;
    if (selects) {
      const bins = {
        bins_per_logit: 1 / (BIN_NATS * temperature),
        range: BINS * BIN_NATS * temperature,
      };
      const grid: Workgroups = [Math.ceil(this.#vocabSize / HISTOGRAM_LOGITS), 1, 1];
      list.run(parts.sampleHistogram, { partials, keys, histogram }, bins, grid);
      const buffers = { partials, keys, histogram, selection };
      const params = { ...bins, top_k: topK, top_p: topP };
      list.run(parts.sampleSelect, buffers, params, ONE_WORKGROUP);
    }
    const params = {
      inv_temperature: 1 / temperature,
      range: temperature * Math.min(BINS * BIN_NATS, -Math.log(minP)),
      use_selection: Number(selects),
      seed,
      ...stepParams(step),
    };
    const buffers = { partials, keys, selection, ...stepBuffers(step) };
    list.run(parts.sampleDraw, buffers, params, ONE_WORKGROUP);
  }

  async #createSampled(): Promise<SampledParts> {
    const { kernels } = this.#gpu;
    const WORKGROUP_SIZE = workgroupSize(this.#gpu);
    const VEC4S = HISTOGRAM_LOGITS / (4 * WORKGROUP_SIZE);
    const [argmaxPartialKeys, sampleHistogram, sampleSelect, sampleDraw] = await Promise.all([
      kernels.get({ name: "argmax_partial", flags: ["KEYS"], constants: PARTIAL_SIZE }),
      kernels.get({ name: "sample_histogram", constants: { WORKGROUP_SIZE, VEC4S } }),
      kernels.get({ name: "sample_select", constants: { WORKGROUP_SIZE } }),
      kernels.get({ name: "sample_draw", constants: { WORKGROUP_SIZE } }),
    ]);
    const compiled = { argmaxPartialKeys, sampleHistogram, sampleSelect, sampleDraw };
    const keyBytes = Math.ceil(this.#vocabSize / 4) * 16;
    const buffers = await this.#gpu.allocating("sampling", keyBytes, () => ({
      keys: createBuffer(this.#gpu, "keys", keyBytes),
      histogram: createBuffer(this.#gpu, "histogram", 2 * BINS * 4),
      selection: createBuffer(this.#gpu, "selection", 2 * 4),
    }));
    return { ...compiled, ...buffers };
  }
}

function isPlainGreedy(options: ResolvedSampling): boolean {
  return options.temperature === 0 && options.repetitionPenalty === 1 && !adjustsLogits(options);
}

function prepared<T>({ value }: Lazy<T>): T {
  if (value === undefined) throw new Error("the sampler is not prepared for these options");
  return value;
}

/** Barriers cost CPU adapters by the invocation, a GPU nearly nothing. */
function workgroupSize({ isSoftware }: GpuContext): number {
  return isSoftware ? 64 : 256;
}

function partialWorkgroups(vocabSize: number): number {
  return Math.ceil(vocabSize / (4 * PARTIAL_SIZE.VEC4S * PARTIAL_SIZE.WORKGROUP_SIZE));
}

function createBuffer(gpu: GpuContext, what: string, bytes: number): GPUBuffer {
  const usage = GPUBufferUsage.STORAGE;
  return gpu.buffers.create({ label: `sampler ${what}`, purpose: "activations", bytes, usage });
}

function stepBuffers(step: SamplerStep): Record<string, BufferBinding> {
  const { stopIds, state, table, tokens, seen } = step;
  return { stop_ids: stopIds, state, table, tokens, seen };
}

function stepParams({ tableCount, advance }: SamplerStep): Record<string, number> {
  return { table_count: tableCount, advance: Number(advance) };
}
