import type { CachePrefill } from "../cache/kv-cache.ts";
import type { DispatchList, Recorder } from "../gpu/recorder.ts";
import { CHUNK_TOKENS, PREFILL_DISPATCHES } from "../model/activation-sizes.ts";
import { type Activations, recordLayer, type TokenRange } from "../model/forward.ts";
import { cacheSample } from "./memory.ts";
import { createActivations, createRecorder, type Runtime, writeState } from "./runtime.ts";
import type { PrefillProgress } from "./generate-types.ts";

/** Submits in flight: the GPU never runs dry, and an abort is felt soon. */
const SUBMITS_IN_FLIGHT = 3;

export interface PrefillOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: PrefillProgress) => void) | undefined;
  /** Tokens of the whole prompt, which budgets are a share of. */
  readonly promptTokens: number;
  /** False: the cache takes all new rows, whatever its budget. */
  readonly evict: boolean;
}

/** Hidden states after the last layer, `[tokens][hiddenSize]`, while a prefill's end is recorded. */
export interface PrefillEnd {
  readonly recorder: Recorder;
  readonly hidden: GPUBuffer;
  /** Submit what was recorded; waits while too many submits are in flight. */
  submit(): Promise<void>;
}

/**
 * Run tokens through the model, layer by layer: each layer sees all of them, in chunks, and is taken
 * into the cache before the next one starts, so that the full cache never exists. Then `finish`
 * records what is wanted of the last hidden states.
 *
 * When this throws, some layers may have the new rows: restore the cache.
 * @throws GpuOutOfMemoryError, DeviceLostError; the signal's reason when aborted.
 */
export async function prefill(
  runtime: Runtime,
  tokenIds: Uint32Array<ArrayBuffer>,
  finish: (end: PrefillEnd) => Promise<void>,
  options: PrefillOptions,
): Promise<void> {
  const { promptTokens, evict } = options;
  const rows = await runtime.cache.beginPrefill(tokenIds.length, promptTokens, evict);
  try {
    const work = await allocateWork(runtime, tokenIds.length);
    try {
      await runLayers(runtime, tokenIds, { ...work, rows }, finish, options);
    } finally {
      work.destroy();
    }
    await rows.end();
    runtime.tracer?.sample(cacheSample(runtime.cache));
  } catch (error) {
    rows.cancel();
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
    const recorder = createRecorder(runtime, PREFILL_DISPATCHES, "prefill");
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
  { chunk, ids, activations, recorder, rows }: Work & { readonly rows: CachePrefill },
  finish: (end: PrefillEnd) => Promise<void>,
  { signal, onProgress }: PrefillOptions,
): Promise<void> {
  const { gpu, config, cache, weights } = runtime;
  const total = tokenIds.length;
  const flight: Promise<void>[] = [];
  const submit = async (): Promise<void> => {
    recorder.submit(runtime.timer);
    const done = gpu.idle();
    done.catch(() => {}); // awaited below, maybe after an earlier one failed
    flight.push(done);
    if (flight.length >= SUBMITS_IN_FLIGHT) await flight.shift();
    signal?.throwIfAborted();
  };
  try {
    gpu.device.queue.writeBuffer(ids, 0, tokenIds);
    writeState(runtime, cache.tokens);
    const { hidden } = activations;
    const matrix = weights.embedding;
    runtime.embed.record(recorder, { matrix, tokens: total, tokenIds: ids, hidden });
    const willHold = Math.max(cache.tokens + total, cache.fullTokens);
    for (const [layer, layerWeights] of weights.layers.entries()) {
      runtime.tracer?.enter("prefill", layer);
      recorder.layer = layer;
      for (let start = 0; start < total; start += chunk) {
        const range = { start, tokens: Math.min(chunk, total - start) };
        recordLayer(recorder, config, runtime.linear, layerWeights, activations, range, (list) =>
          recordAttention(list, runtime, rows, layer, activations, range),
        );
        const isLast = start + range.tokens === total;
        if (isLast) runtime.tracer?.enter("compress", layer);
        if (isLast) await rows.takeLayer(recorder, layer);
        await submit();
        if (isLast) rows.layerSubmitted();
        if (isLast) runtime.tracer?.sample(cacheSample(cache, willHold));
        const doneTokens = (layer * total + start + range.tokens) / config.numLayers;
        onProgress?.({ doneTokens, totalTokens: total });
      }
    }
    recorder.layer = undefined;
    writeState(runtime, cache.tokens + total);
    await finish({ recorder, hidden, submit });
    await Promise.all(flight.splice(0));
  } catch (error) {
    await Promise.allSettled(flight);
    throw error;
  }
}

function recordAttention(
  list: DispatchList,
  { attention, cache, state, config }: Runtime,
  rows: CachePrefill,
  layer: number,
  { qkv, attended }: Activations,
  range: TokenRange,
): void {
  const staged = rows.staged(layer);
  // A layer without rows has no buffers yet: any will do, since none of their rows is read.
  const kept = rows.keptRows(layer) > 0 ? cache.region(layer) : staged;
  const { keys, values } = kept;
  const buffers = { table: cache.table, qkv, keys, values, out: attended };
  const chunk = { tableBase: layer * config.numKvHeads, ...range };
  attention.appendStaged(list, buffers, state, staged, chunk, rows.track(layer));
  attention.prefill(list, buffers, staged, chunk, rows.keptRows(layer), rows.stats);
}
