import type { DispatchList, Recorder } from "../gpu/recorder.ts";
import { type Activations, recordLayer, type TokenRange } from "../model/forward.ts";
import { createActivations, createRecorder, type Runtime, STATE_WORDS } from "./runtime.ts";
import type { PrefillProgress } from "./types.ts";

/** Tokens in work at a time: enough to use the GPU, few enough for a short dispatch. */
const CHUNK_TOKENS = 256;

/** Dispatches of one submit: one layer over one chunk, or what `finish` adds. */
const SUBMIT_DISPATCHES = 256;

/** Submits in flight: the GPU never runs dry, and an abort is felt soon. */
const SUBMITS_IN_FLIGHT = 3;

export interface PrefillOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: PrefillProgress) => void) | undefined;
}

/** Hidden states after the last layer, `[tokens][hiddenSize]`, while a prefill's end is recorded. */
export interface PrefillEnd {
  readonly recorder: Recorder;
  readonly hidden: GPUBuffer;
  /** Submit what was recorded; waits while too many submits are in flight. */
  submit(): Promise<void>;
}

/**
 * Run tokens through the model, layer by layer: each layer sees the whole prompt, in chunks, before
 * the next one starts, so that a layer's rows can be compressed before the next layer's exist. Then
 * `finish` records what is wanted of the last hidden states.
 *
 * The rows are appended to the cache. When this throws, the cache holds the rows that it held.
 * @throws GpuOutOfMemoryError, DeviceLostError; the signal's reason when aborted.
 */
export async function prefill(
  runtime: Runtime,
  tokenIds: Uint32Array<ArrayBuffer>,
  finish: (end: PrefillEnd) => Promise<void>,
  options: PrefillOptions = {},
): Promise<void> {
  const { cache } = runtime;
  const lengthBefore = cache.length;
  try {
    await cache.reserve(lengthBefore + tokenIds.length);
    const work = await allocateWork(runtime, tokenIds.length);
    try {
      await runLayers(runtime, tokenIds, work, finish, options);
    } finally {
      work.destroy();
    }
  } catch (error) {
    if (lengthBefore === 0) cache.clear();
    else cache.truncate(lengthBefore);
    throw error;
  }
}

/** What a prefill needs beside weights and cache. */
interface Work {
  readonly chunk: number;
  readonly ids: GPUBuffer;
  readonly activations: Activations;
  readonly recorder: Recorder;
  destroy(): void;
}

function allocateWork(runtime: Runtime, total: number): Promise<Work> {
  const { gpu, config } = runtime;
  const chunk = Math.min(CHUNK_TOKENS, total);
  const hiddenBytes = total * config.hiddenSize * 4;
  return gpu.allocating(`hidden states of ${total} tokens`, hiddenBytes, () => {
    const ids = gpu.buffers.create({
      label: "prompt token ids",
      purpose: "activations",
      bytes: total * 4,
      usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST,
    });
    const activations = createActivations(gpu, config, total, chunk, "prefill");
    const recorder = createRecorder(runtime, SUBMIT_DISPATCHES, "prefill");
    const destroy = (): void => {
      recorder.destroy();
      activations.destroy();
      gpu.buffers.destroy(ids);
    };
    return { chunk, ids, activations, recorder, destroy };
  });
}

async function runLayers(
  runtime: Runtime,
  tokenIds: Uint32Array<ArrayBuffer>,
  { chunk, ids, activations, recorder }: Work,
  finish: (end: PrefillEnd) => Promise<void>,
  { signal, onProgress }: PrefillOptions,
): Promise<void> {
  const { gpu, config, cache, weights } = runtime;
  const total = tokenIds.length;
  const flight: Promise<void>[] = [];
  const submit = async (): Promise<void> => {
    recorder.submit();
    const done = gpu.idle();
    done.catch(() => {}); // awaited below, maybe after an earlier one failed
    flight.push(done);
    if (flight.length >= SUBMITS_IN_FLIGHT) await flight.shift();
    signal?.throwIfAborted();
  };
  try {
    gpu.device.queue.writeBuffer(ids, 0, tokenIds);
    writeState(runtime, cache.length);
    const { hidden } = activations;
    const matrix = weights.embedding;
    runtime.embed.record(recorder, { matrix, tokens: total, tokenIds: ids, hidden });
    for (const [layer, layerWeights] of weights.layers.entries()) {
      for (let start = 0; start < total; start += chunk) {
        const range = { start, tokens: Math.min(chunk, total - start) };
        recordLayer(recorder, config, runtime.linear, layerWeights, activations, range, (list) =>
          recordAttention(list, runtime, layer, activations, range),
        );
        await submit();
        const doneTokens = (layer * total + start + range.tokens) / config.numLayers;
        onProgress?.({ doneTokens, totalTokens: total });
      }
    }
    const entries = config.numLayers * config.numKvHeads;
    const grown = { first: 0, count: entries, delta: total };
    runtime.attention.adjustLengths(recorder, cache.table, grown);
    cache.appended(total);
    writeState(runtime, cache.length);
    await finish({ recorder, hidden, submit });
    await Promise.all(flight.splice(0));
  } finally {
    await Promise.allSettled(flight);
  }
}

/** Position of the first token of the next forward; nothing is sampled yet. */
function writeState({ gpu, state }: Runtime, position: number): void {
  const words = new Uint32Array(STATE_WORDS.total);
  words[STATE_WORDS.position] = position;
  gpu.device.queue.writeBuffer(state, 0, words);
}

function recordAttention(
  list: DispatchList,
  { attention, cache, state, config }: Runtime,
  layer: number,
  { qkv, attended }: Activations,
  range: TokenRange,
): void {
  const { keys, values, capacity } = cache.layer(layer);
  const kept = cache.length;
  // Policy `full`: new rows are staged where they stay, right after the kept ones of each head.
  const staged = { keys, values, offset: kept, stride: capacity, rows: capacity - kept };
  const buffers = { table: cache.table, qkv, keys, values, out: attended };
  const chunk = { tableBase: layer * config.numKvHeads, ...range };
  attention.appendStaged(list, buffers, state, staged, chunk);
  attention.prefill(list, buffers, staged, chunk, kept);
}
