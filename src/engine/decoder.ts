import { readBack } from "../cache/read-back.ts";
import type { DispatchList, Recorder } from "../gpu/recorder.ts";
import { decodeDispatches, logitsWidth } from "../model/activation-sizes.ts";
import { recordLayer, recordLogits } from "../model/forward.ts";
import { seenBitmap } from "../sampling/seen.ts";
import { type ResolvedSampling, resolveSampling } from "../sampling/options.ts";
import { type DecodeSteps, TOKEN_RING_SLOTS } from "./decode-loop.ts";
import { cacheSample } from "./memory.ts";
import {
  createActivations,
  createRecorder,
  type Runtime,
  STATE_WORDS,
  writeState,
} from "./runtime.ts";

/** Most ids that can end an answer. */
const MAX_STOP_IDS = 255;

/**
 * The decode step, recorded once and replayed: embedding, all layers, logits, sampling. Token,
 * position and lengths live on the GPU, so a step needs nothing from the host.
 */
export class Decoder {
  readonly #runtime: Runtime;
  readonly #recorder: Recorder;
  readonly #activations: ReturnType<typeof createActivations>;
  readonly #logits: GPUBuffer;
  /** Of the prompt's last row: kept, so that another answer needs no prefill. */
  readonly #promptLogits: GPUBuffer;
  readonly #ring: GPUBuffer;
  readonly #stopIds: GPUBuffer;
  readonly #seen: GPUBuffer;

  constructor(runtime: Runtime) {
    const { gpu, config } = runtime;
    const create = (label: string, words: number): GPUBuffer =>
      gpu.buffers.create({
        label,
        purpose: "activations",
        bytes: words * 4,
        usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC,
      });
    this.#runtime = runtime;
    this.#recorder = createRecorder(runtime, decodeDispatches(config.numLayers), "decode");
    this.#activations = createActivations(gpu, config, 1, 1, "decode");
    this.#logits = create("logits", logitsWidth(config.vocabSize));
    this.#promptLogits = create("prompt logits", logitsWidth(config.vocabSize));
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

  /** Record choosing a token from a row of a prefill's hidden states. */
  recordFirst(
    list: DispatchList,
    hidden: GPUBuffer,
    lastRow: number,
    sampling: ResolvedSampling,
  ): void {
    this.#recordChoice(list, hidden, lastRow, sampling, this.#promptLogits);
  }

  /** The same in the middle of an answer. */
  recordNext(
    list: DispatchList,
    hidden: GPUBuffer,
    lastRow: number,
    sampling: ResolvedSampling,
  ): void {
    this.#recordChoice(list, hidden, lastRow, sampling, this.#logits);
  }

  /** Choose the first token of another answer to the same prompt, whose logits are still there. */
  chooseAgain(sampling: ResolvedSampling): void {
    writeState(this.#runtime, this.#runtime.cache.tokens);
    this.#recorder.clear();
    this.#sample(this.#recorder, this.#promptLogits, sampling, false);
    this.#recorder.submit();
  }

  /** Of the last prompt, to be put back if the next call fails. */
  async readPromptLogits(): Promise<Uint8Array<ArrayBuffer>> {
    const buffer = this.#promptLogits;
    const [logits] = await readBack(this.#runtime.gpu, [{ buffer, bytes: buffer.size }]);
    return logits as Uint8Array<ArrayBuffer>;
  }

  writePromptLogits(logits: Uint8Array<ArrayBuffer>): void {
    this.#runtime.gpu.device.queue.writeBuffer(this.#promptLogits, 0, logits);
  }

  /** Record the step against the cache as it lies now; again whenever its buffers have changed. */
  record(sampling: ResolvedSampling): void {
    const { config, linear, weights, embed, state } = this.#runtime;
    const list = this.#recorder;
    const { hidden } = this.#activations;
    list.clear();
    embed.record(list, { matrix: weights.embedding, tokens: 1, tokenIds: state, hidden });
    weights.layers.forEach((layerWeights, layer) => {
      list.layer = layer;
      const range = { start: 0, tokens: 1 };
      recordLayer(list, config, linear, layerWeights, this.#activations, range, () =>
        this.#attend(list, layer),
      );
    });
    list.layer = undefined;
    recordLogits(list, config, linear, weights, hidden, this.#logits, { start: 0, tokens: 1 });
    this.#sample(list, this.#logits, sampling, true);
    list.upload();
  }

  /** Run one step with a token of the caller's choice behind the cache's last one; gives its logits. */
  async step(tokenId: number): Promise<Float32Array> {
    const { gpu, cache, config, state } = this.#runtime;
    if (cache.room() === 0) await cache.makeRoom(cache.tokens);
    writeState(this.#runtime, cache.tokens);
    gpu.device.queue.writeBuffer(state, STATE_WORDS.token * 4, Uint32Array.of(tokenId));
    this.record(resolveSampling({}, config.vocabSize));
    this.#recorder.replay(1);
    const [bytes] = await readBack(gpu, [{ buffer: this.#logits, bytes: this.#logits.size }]);
    cache.settle(cache.tokens + 1);
    return new Float32Array((bytes as Uint8Array<ArrayBuffer>).buffer, 0, config.vocabSize);
  }

  /** What the decode loop drives, from the cache as a prefill left it. */
  steps(sampling: ResolvedSampling): DecodeSteps & { submitted(): number } {
    const { cache, tracer, timer, sampler } = this.#runtime;
    let pending = 0; // rows that the GPU appends and the host has not counted yet
    let submitted = 0;
    return {
      submitted: () => submitted,
      ring: this.#ring,
      logprobs: sampling.logprobs === undefined ? undefined : sampler.logprobs,
      room: () => cache.room() - pending,
      makeRoom: async () => {
        tracer?.enter("compress");
        await cache.makeRoom(cache.tokens + pending);
        pending = 0;
        this.record(sampling);
        tracer?.sample(cacheSample(cache));
        tracer?.enter("decode");
      },
      submit: (count, after) => {
        pending += count;
        submitted += count;
        this.#recorder.replay(count, after, timer);
      },
    };
  }

  destroy(): void {
    const { buffers } = this.#runtime.gpu;
    this.#recorder.destroy();
    this.#activations.destroy();
    for (const buffer of [
      this.#logits,
      this.#promptLogits,
      this.#ring,
      this.#stopIds,
      this.#seen,
    ]) {
      buffers.destroy(buffer);
    }
  }

  #recordChoice(
    list: DispatchList,
    hidden: GPUBuffer,
    row: number,
    sampling: ResolvedSampling,
    logits: GPUBuffer,
  ): void {
    const { config, linear, weights } = this.#runtime;
    recordLogits(list, config, linear, weights, hidden, logits, { start: row, tokens: 1 });
    this.#sample(list, logits, sampling, false);
  }

  #attend(list: DispatchList, layer: number): void {
    const { attention, cache, config, state } = this.#runtime;
    const { keys, values, capacity } = cache.region(layer);
    const { qkv, attended } = this.#activations;
    const buffers = { table: cache.table, qkv, keys, values };
    const tableBase = layer * config.numKvHeads;
    attention.appendDecoded(list, buffers, state, tableBase, cache.track(layer));
    attention.decode(list, { ...buffers, out: attended }, tableBase, capacity);
  }

  #sample(
    list: DispatchList,
    logits: GPUBuffer,
    options: ResolvedSampling,
    advance: boolean,
  ): void {
    const { sampler, state, cache, config } = this.#runtime;
    sampler.record(list, {
      logits,
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
