import type { CachePrefill } from "../cache/kv-cache.ts";
import type { DispatchList, Recorder } from "../gpu/recorder.ts";
import { type Activations, recordLayer, type TokenRange } from "../model/forward.ts";
import { createActivations, createRecorder, type Runtime, writeState } from "./runtime.ts";
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
 */
export async function prefill(
  runtime: Runtime,
  tokenIds: Uint32Array<ArrayBuffer>,
  finish: (end: PrefillEnd) => Promise<void>,
  options: PrefillOptions,
): Promise<void> {
  const { gpu, config, cache } = runtime;
  const { signal, onProgress } = options;
  const total = tokenIds.length;
  const chunk = Math.min(CHUNK_TOKENS, total);
  const work = await allocate(runtime, tokenIds, chunk, options);
  const { recorder, rows, activations, ids } = work;
  const { hidden } = activations;
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
    writeState(runtime, cache.tokens);
    const matrix = runtime.weights.embedding;
    runtime.embed.record(recorder, { matrix, tokens: total, tokenIds: ids, hidden });
    for (const [layer, weights] of runtime.weights.layers.entries()) {
      for (let start = 0; start < total; start += chunk) {
        const tokens = Math.min(chunk, total - start);
        const range = { start, tokens };
        recordLayer(recorder, config, runtime.linear, weights, activations, range, (list) =>
          recordAttention(list, runtime, rows, layer, activations, range),
        );
        const isLast = start + tokens === total;
        if (isLast) rows.takeLayer(recorder, layer);
        await submit();
        if (isLast) rows.layerSubmitted();
        const doneTokens = (layer * total + start + tokens) / config.numLayers;
        onProgress?.({ doneTokens, totalTokens: total });
      }
    }
    writeState(runtime, cache.tokens + total);
    await finish({ recorder, hidden, submit });
    await Promise.all(flight.splice(0));
    await rows.end();
  } catch (error) {
    await Promise.allSettled(flight);
    rows.cancel();
    throw error;
  } finally {
    work.free();
  }
}

/** Everything that a prefill needs on the GPU. @throws GpuOutOfMemoryError, nothing allocated. */
async function allocate(
  runtime: Runtime,
  tokenIds: Uint32Array<ArrayBuffer>,
  chunk: number,
  { promptTokens, evict }: PrefillOptions,
): Promise<PrefillWork> {
  const { gpu, config, cache } = runtime;
  const tokens = tokenIds.length;
  const bytes = tokens * config.hiddenSize * 4;
  const made: (() => void)[] = [];
  const make = async (): Promise<PrefillWork> => {
    const rows = await cache.beginPrefill(tokens, promptTokens, evict);
    made.push(() => rows.cancel());
    const activations = createActivations(gpu, config, tokens, chunk, "prefill");
    made.push(() => activations.destroy());
    const recorder = createRecorder(runtime, SUBMIT_DISPATCHES, "prefill");
    made.push(() => recorder.destroy());
    const ids = gpu.buffers.create({
      label: "prompt token ids",
      purpose: "activations",
      bytes: tokens * 4,
      usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST,
    });
    made.push(() => gpu.buffers.destroy(ids));
    gpu.device.queue.writeBuffer(ids, 0, tokenIds);
    const free = (): void => made.slice(1).forEach((undo) => undo());
    return { recorder, rows, activations, ids, free };
  };
  try {
    return await gpu.allocating(`a prompt of ${tokens} tokens`, bytes, make);
  } catch (error) {
    for (const undo of made) undo();
    throw error;
  }
}

interface PrefillWork {
  readonly recorder: Recorder;
  readonly rows: CachePrefill;
  readonly activations: Activations;
  readonly ids: GPUBuffer;
  /** Free all but the rows, which end or cancel by themselves. */
  free(): void;
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
