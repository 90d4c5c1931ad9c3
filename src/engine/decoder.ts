import type { DispatchList, Recorder } from "../gpu/recorder.ts";
import { recordLayer, recordLogits } from "../model/forward.ts";
import { seenBitmap } from "../sampling/seen.ts";
import type { ResolvedSampling } from "../sampling/options.ts";
import { type DecodeSteps, TOKEN_RING_SLOTS } from "./decode-loop.ts";
import { createActivations, createRecorder, type Runtime } from "./runtime.ts";

/** Most ids that can end an answer. */
const MAX_STOP_IDS = 255;

/** Dispatches that a decode step has beside those of its layers. */
const EXTRA_DISPATCHES = 64;
const MAX_LAYER_DISPATCHES = 16;

/**
 * The decode step, recorded once and replayed: embedding, all layers, logits, sampling. Token,
 * position and lengths live on the GPU, so a step needs nothing from the host.
 */
export class Decoder {
  readonly #runtime: Runtime;
  readonly #recorder: Recorder;
  readonly #activations: ReturnType<typeof createActivations>;
  readonly #logits: GPUBuffer;
  readonly #ring: GPUBuffer;
  readonly #stopIds: GPUBuffer;
  readonly #seen: GPUBuffer;

  constructor(runtime: Runtime) {
    const { gpu, config } = runtime;
    const dispatches = config.numLayers * MAX_LAYER_DISPATCHES + EXTRA_DISPATCHES;
    const create = (label: string, words: number): GPUBuffer =>
      gpu.buffers.create({
        label,
        purpose: "activations",
        bytes: words * 4,
        usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC,
      });
    this.#runtime = runtime;
    this.#recorder = createRecorder(runtime, dispatches, "decode");
    this.#activations = createActivations(gpu, config, 1, 1, "decode");
    this.#logits = create("logits", Math.ceil(config.vocabSize / 4) * 4);
    this.#ring = create("token ring", TOKEN_RING_SLOTS);
    this.#stopIds = create("stop token ids", 1 + MAX_STOP_IDS);
    this.#seen = create("seen tokens", Math.ceil(config.vocabSize / 32));
  }

  /** Dispatches of one step, as recorded last. */
  get dispatches(): number {
    return this.#recorder.length;
  }

  /** Set what the next answer depends on: ids that end it, tokens for the repetition penalty. */
  begin(promptTokenIds: Iterable<number>, stopTokenIds: Iterable<number>): void {
    const { gpu, config } = this.#runtime;
    const stops = [...stopTokenIds].slice(0, MAX_STOP_IDS);
    gpu.device.queue.writeBuffer(this.#stopIds, 0, new Uint32Array([stops.length, ...stops]));
    gpu.device.queue.writeBuffer(this.#seen, 0, seenBitmap(promptTokenIds, config.vocabSize));
  }

  /** Record choosing a token from the last row of a prefill. */
  recordFirst(
    list: DispatchList,
    hidden: GPUBuffer,
    lastRow: number,
    sampling: ResolvedSampling,
  ): void {
    const { config, linear, weights } = this.#runtime;
    const range = { start: lastRow, tokens: 1 };
    recordLogits(list, config, linear, weights, hidden, this.#logits, range);
    this.#sample(list, sampling, false);
  }

  /** Record the step against the cache as it lies now; again whenever its buffers have changed. */
  record(sampling: ResolvedSampling): void {
    const { config, linear, weights, embed, state } = this.#runtime;
    const list = this.#recorder;
    const { hidden } = this.#activations;
    list.clear();
    embed.record(list, { matrix: weights.embedding, tokens: 1, tokenIds: state, hidden });
    weights.layers.forEach((layerWeights, layer) => {
      const range = { start: 0, tokens: 1 };
      recordLayer(list, config, linear, layerWeights, this.#activations, range, () =>
        this.#attend(list, layer),
      );
    });
    recordLogits(list, config, linear, weights, hidden, this.#logits, { start: 0, tokens: 1 });
    this.#sample(list, sampling, true);
    list.upload();
  }

  /** What the decode loop drives, from the cache as a prefill left it. */
  steps(sampling: ResolvedSampling): DecodeSteps & { submitted(): number } {
    const { cache } = this.#runtime;
    let pending = 0; // rows that the GPU appends and the host has not counted yet
    let submitted = 0;
    return {
      submitted: () => submitted,
      ring: this.#ring,
      room: () => cache.capacity - cache.length - pending,
      makeRoom: async () => {
        cache.appended(pending);
        pending = 0;
        await cache.reserve(cache.length + 1);
        this.record(sampling);
      },
      submit: (count, after) => {
        pending += count;
        submitted += count;
        this.#recorder.replay(count, after);
      },
    };
  }

  destroy(): void {
    const { buffers } = this.#runtime.gpu;
    this.#recorder.destroy();
    this.#activations.destroy();
    for (const buffer of [this.#logits, this.#ring, this.#stopIds, this.#seen]) {
      buffers.destroy(buffer);
    }
  }

  #attend(list: DispatchList, layer: number): void {
    const { attention, cache, config, state } = this.#runtime;
    const { keys, values, capacity } = cache.layer(layer);
    const { qkv, attended } = this.#activations;
    const buffers = { table: cache.table, qkv, keys, values };
    const tableBase = layer * config.numKvHeads;
    attention.appendDecoded(list, buffers, state, tableBase);
    attention.decode(list, { ...buffers, out: attended }, tableBase, capacity);
  }

  #sample(list: DispatchList, options: ResolvedSampling, advance: boolean): void {
    const { sampler, state, cache, config } = this.#runtime;
    sampler.record(list, {
      logits: this.#logits,
      state,
      table: cache.table,
      tableCount: config.numLayers * config.numKvHeads,
      tokens: this.#ring,
      stopIds: this.#stopIds,
      seen: this.#seen,
      options,
      advance,
    });
  }
}
