import { createCache } from "../cache/create-cache.ts";
import type { KvCache } from "../cache/kv-cache.ts";
import type { ResolvedCacheOptions } from "../cache/options.ts";
import type { ByteSource } from "../formats/byte-source.ts";
import type { TensorFile } from "../formats/tensor-types.ts";
import type { GpuContext } from "../gpu/device.ts";
import type { KernelTimer } from "../gpu/kernel-timer.ts";
import { Recorder } from "../gpu/recorder.ts";
import { activationWidths, passTokens } from "../model/activation-sizes.ts";
import { Attention } from "../model/attention.ts";
import type { ModelConfig } from "../model/config.ts";
import { createEmbed, type Embed } from "../model/embed.ts";
import type { Activations } from "../model/forward.ts";
import { modelLayouts } from "../model/layouts.ts";
import { chooseAttention } from "../model/attention-variants.ts";
import { choiceForSmall } from "../model/linear-choice.ts";
import { createLinear, type Linear } from "../model/linear.ts";
import { modelTensors } from "../model/model-tensors.ts";
import { readRopeFactors, ropeFrequencies } from "../model/rope.ts";
import { loadWeights, type ModelWeights } from "../model/weights.ts";
import type { Tracer } from "../profile/tracer.ts";
import { createSampler, type Sampler } from "./sampler.ts";
import { tracing } from "./tracing.ts";

/** Everything of a loaded model that lives on the GPU, ready to run. */
export interface Runtime {
  readonly gpu: GpuContext;
  readonly config: ModelConfig;
  readonly weights: ModelWeights;
  readonly linear: Linear;
  readonly embed: Embed;
  readonly attention: Attention;
  readonly sampler: Sampler;
  /** `LocalEngine.setCache` puts another one in its place. */
  cache: KvCache;
  /** `u32[16]`: token, position, step, done (shaders/shared/state.wgsl). */
  readonly state: GPUBuffer;
  /** Most tokens whose hidden states fit: a longer prompt is read in several passes. */
  readonly passTokens: number;
  /** Notes what happens, where the caller asked for it. */
  readonly tracer: Tracer | undefined;
  /** Times dispatches, where the caller asked for it and the GPU offers it. */
  readonly timer: KernelTimer | undefined;
  /** The cache keeps the scores of its last compression, where the caller asked for it. */
  readonly keepsScores: boolean;
}

/** Words of the state buffer, by name. */
export const STATE_WORDS = { token: 0, position: 1, step: 2, done: 3, total: 16 } as const;

export interface RuntimeOptions {
  readonly cache: ResolvedCacheOptions;
  /** Most bytes for the hidden states of a prompt; by default what the device can bind. */
  readonly hiddenBytes?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onBytes?: ((bytes: number) => void) | undefined;
  readonly tracer?: Tracer | undefined;
  readonly kernelTimes?: boolean | undefined;
  readonly keepsScores?: boolean | undefined;
}

/** Stream the weights to the GPU while the kernels compile. */
export async function createRuntime(
  gpu: GpuContext,
  source: ByteSource,
  file: TensorFile,
  config: ModelConfig,
  options: RuntimeOptions,
): Promise<Runtime> {
  const { numLayers, numHeads, numKvHeads, headDim } = config;
  const { signal, onBytes } = options;
  const { kvDtype } = options.cache;
  const tensors = modelTensors(file, config);
  const factors =
    tensors.ropeFactors && (await readRopeFactors(source, tensors.ropeFactors, signal));
  const layouts = modelLayouts(file, config);
  const shape = {
    numHeads,
    numKvHeads,
    headDim,
    kvDtype,
    ropeStyle: config.ropeStyle,
    ropeFrequencies: ropeFrequencies({
      theta: config.ropeTheta,
      dim: config.ropeDim,
      scale: config.ropeScale,
      ...(factors === undefined ? {} : { factors }),
      ...(config.ropeLlama3 === undefined ? {} : { llama3: config.ropeLlama3 }),
    }),
  };
  const cacheShape = { numLayers, numHeads, numKvHeads, headDim, dtype: kvDtype };
  const [weights, linear, embed, attention, sampler, cache] = await allOrNone(signal, (stop) => [
    loadWeights(gpu, source, file, tensors, { signal: stop, ...(onBytes ? { onBytes } : {}) }),
    createLinear(gpu, layouts.linear, { choice: choiceForSmall(gpu, layouts.weights) }),
    createEmbed(gpu, layouts.embedding),
    Attention.create(gpu, shape, chooseAttention(gpu, layouts.weights)),
    createSampler(gpu, config),
    createCache(gpu, cacheShape, options.cache, options.keepsScores),
  ]);
  const state = gpu.buffers.create({
    label: "decode state",
    purpose: "activations",
    bytes: STATE_WORDS.total * 4,
    usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC,
  });
  const limit = Math.min(gpu.limits.maxStorageBufferBindingSize, options.hiddenBytes ?? Infinity);
  const { tracer, keepsScores = false } = options;
  const timer =
    tracer && options.kernelTimes ? (await tracing()).createTimer(gpu, tracer) : undefined;
  const parts = { gpu, config, weights, linear, embed, attention, sampler, cache, state };
  return { ...parts, passTokens: passTokens(config, limit), tracer, timer, keepsScores };
}

/**
 * What all of the jobs give. When one fails, the others are told to stop and waited for, so that
 * none of them allocates anything behind the caller's back.
 */
async function allOrNone<T extends readonly unknown[]>(
  signal: AbortSignal | undefined,
  start: (signal: AbortSignal) => { [K in keyof T]: Promise<T[K]> },
): Promise<T> {
  const failed = new AbortController();
  const signals = signal === undefined ? [failed.signal] : [failed.signal, signal];
  const jobs = start(AbortSignal.any(signals));
  try {
    return (await Promise.all(jobs)) as unknown as T;
  } catch (error) {
    failed.abort();
    await Promise.allSettled(jobs);
    throw error;
  }
}

/** Activations for a forward over `tokens` tokens, at most `chunk` of them in work at a time. */
export function createActivations(
  gpu: GpuContext,
  config: ModelConfig,
  tokens: number,
  chunk: number,
  label: string,
): Activations & { destroy(): void } {
  const { hidden, qkv, attended, gated } = activationWidths(config);
  const made: GPUBuffer[] = [];
  const create = (name: string, rows: number, width: number): GPUBuffer => {
    const buffer = gpu.buffers.create({
      label: `${label} ${name}`,
      purpose: "activations",
      bytes: rows * width * 4,
      usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC,
    });
    made.push(buffer);
    return buffer;
  };
  return {
    hidden: create("hidden states", tokens, hidden),
    qkv: create("queries, keys, values", chunk, qkv),
    attended: create("attention output", chunk, attended),
    gated: create("gated", chunk, gated),
    destroy() {
      for (const buffer of made) gpu.buffers.destroy(buffer);
    },
  };
}

/** A recorder whose submits hold up to `capacity` dispatches. */
export function createRecorder({ gpu }: Runtime, capacity: number, label: string): Recorder {
  return new Recorder(gpu.device, gpu.buffers, capacity, label);
}

/** Position of the first token of the next forward, and of the answer's token that is sampled next. */
export function writeState({ gpu, state }: Runtime, position: number, step: number = 0): void {
  const words = new Uint32Array(STATE_WORDS.total);
  words[STATE_WORDS.position] = position;
  words[STATE_WORDS.step] = step;
  gpu.device.queue.writeBuffer(state, 0, words);
}
