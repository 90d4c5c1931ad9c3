import { CompressedCache } from "../../src/cache/compressed-cache.ts";
import { createCompressor } from "../../src/cache/compressor.ts";
import { FullCache } from "../../src/cache/full-cache.ts";
import type { CachePrefill, KvCache, RowTracking } from "../../src/cache/kv-cache.ts";
import { type KvShape, kvRowBytes, scoreStride } from "../../src/cache/layout.ts";
import { type CacheOptions, resolveCacheOptions } from "../../src/cache/options.ts";
import type { Scratch } from "../../src/cache/compress-call.ts";
import { LogprobBlocks } from "../../src/engine/logprob-blocks.ts";
import { prefill } from "../../src/engine/prefill.ts";
import { createRecorder, type Runtime } from "../../src/engine/runtime.ts";
import type { GpuContext } from "../../src/gpu/device.ts";
import type { ModelRun } from "./model-run.ts";

/** Queries that are recorded: the longest window that a golden has. */
const WINDOW = 32;

const { STORAGE, COPY_SRC, COPY_DST, MAP_READ } = GPUBufferUsage;

/** What a policy made of a prompt. */
export interface CompressedPrompt {
  /** As they ranked: f32 `[layer][KV head][score stride]`. */
  readonly scores: readonly Float32Array[];
  readonly scoreStride: number;
  /** `[layer][KV head]`, ascending. */
  readonly kept: readonly (readonly number[][])[];
  /** `[layer][KV head]` */
  readonly keptMass: readonly (readonly number[])[];
  /** Of the tokens after the prompt. */
  readonly logprobs: readonly number[];
}

/**
 * A prompt that is run through the model once, for every policy to compress: a layer's hidden states
 * don't depend on what is evicted after it. Rows, last queries and their softmax are laid where a
 * prefill lays them; from there on all is as in a prefill.
 */
export class RecordedPrompt {
  readonly #runtime: Runtime;
  readonly #cache: RecordingCache;
  readonly #tokens: number;
  readonly #rest: Uint32Array<ArrayBuffer>;
  readonly #firstLogprob: number;

  private constructor(
    runtime: Runtime,
    cache: RecordingCache,
    tokens: number,
    rest: Uint32Array<ArrayBuffer>,
    firstLogprob: number,
  ) {
    this.#runtime = runtime;
    this.#cache = cache;
    this.#tokens = tokens;
    this.#rest = rest;
    this.#firstLogprob = firstLogprob;
  }

  /** Run the first `tokens` tokens; the others are what `compress` scores. */
  static async run(
    model: ModelRun,
    tokenIds: readonly number[],
    tokens: number,
  ): Promise<RecordedPrompt> {
    const { gpu, cache: empty } = model.runtime;
    const cache = new RecordingCache(gpu, empty.shape, empty.options);
    const runtime = { ...model.runtime, cache };
    const rest = Uint32Array.from(tokenIds.slice(tokens));
    const blocks = await LogprobBlocks.create(runtime, rest.slice(0, 1));
    await prefill(
      runtime,
      Uint32Array.from(tokenIds.slice(0, tokens)),
      (end) => blocks.add(end, { start: tokens - 1, tokens: 1 }, 0),
      { promptTokens: tokens, evict: true },
    );
    const [first] = (await blocks.read()) as [number];
    blocks.destroy();
    return new RecordedPrompt(runtime, cache, tokens, rest, first);
  }

  /** Compress the prompt's rows as a policy does, and go on from what it keeps. */
  async compress(options: CacheOptions): Promise<CompressedPrompt> {
    const { gpu } = this.#runtime;
    const { shape } = this.#cache;
    const resolved = resolveCacheOptions({ kvDtype: shape.dtype, ...options }, shape.numLayers);
    const compressor = await createCompressor(gpu, shape, resolved);
    let scratch: Scratch | undefined;
    const allocate: typeof compressor.allocate = (bytes) => (scratch = compressor.allocate(bytes));
    const cache = new CompressedCache(gpu, shape, resolved, { ...compressor, allocate });
    const stride = scoreStride(this.#tokens);
    const scoreBytes = shape.numKvHeads * stride * 4;
    const dump = createBuffer(gpu, shape.numLayers * scoreBytes, COPY_DST | MAP_READ);
    const recorder = createRecorder(this.#runtime, 64, "compression");
    const rows = await cache.beginPrefill(this.#tokens, this.#tokens, true);
    for (let layer = 0; layer < shape.numLayers; layer++) {
      this.#cache.copyTo(rows, layer, this.#tokens);
      await rows.takeLayer(recorder, layer);
      recorder.submit();
      const { pooled, scores } = scratch as Scratch;
      const ranks = compressor.usesWindow ? pooled : scores;
      copy(gpu, [[ranks, 0, dump, layer * scoreBytes, scoreBytes]]);
      rows.layerSubmitted();
    }
    await rows.end();
    recorder.destroy();
    await dump.mapAsync(GPUMapMode.READ);
    const all = new Float32Array(dump.getMappedRange().slice(0));
    gpu.buffers.destroy(dump);
    const kept = await Promise.all(
      Array.from({ length: shape.numLayers }, (_, layer) => cache.keptPositions(layer)),
    );
    const keptMass = cache.layers().map((layer) => layer.keptMass);
    const logprobs = [this.#firstLogprob, ...(await this.#continue(cache))];
    cache.destroy();
    const layerScores = shape.numKvHeads * stride;
    const scores = kept.map((_, l) => all.subarray(l * layerScores, (l + 1) * layerScores));
    return { scores, scoreStride: stride, kept, keptMass, logprobs };
  }

  destroy(): void {
    this.#cache.destroy();
  }

  /** Log-probabilities of what follows, all of it appended. */
  async #continue(cache: KvCache): Promise<number[]> {
    const runtime = { ...this.#runtime, cache };
    const given = this.#rest.slice(0, -1);
    const blocks = await LogprobBlocks.create(runtime, this.#rest.slice(1));
    await prefill(runtime, given, (end) => blocks.add(end, { start: 0, tokens: given.length }, 0), {
      promptTokens: this.#tokens,
      evict: false,
    });
    const logprobs = await blocks.read();
    blocks.destroy();
    return logprobs;
  }
}

/** Keeps all rows, and each layer's last queries with the max and sum of their softmax. */
class RecordingCache extends FullCache {
  readonly #context: GpuContext;
  readonly #queries: GPUBuffer;
  readonly #stats: GPUBuffer;
  readonly #layerStats: GPUBuffer;
  readonly #statBytes: number;
  readonly #queryBytes: number;

  constructor(gpu: GpuContext, shape: KvShape, options: FullCache["options"]) {
    super(gpu, shape, options);
    const { numLayers, numHeads, headDim } = shape;
    this.#context = gpu;
    this.#queryBytes = numHeads * headDim * 4;
    this.#statBytes = numHeads * 8;
    const usage = STORAGE | COPY_SRC | COPY_DST;
    this.#queries = createBuffer(gpu, numLayers * WINDOW * this.#queryBytes, usage);
    this.#stats = createBuffer(gpu, numLayers * WINDOW * this.#statBytes, usage);
    this.#layerStats = createBuffer(gpu, WINDOW * this.#statBytes, usage);
  }

  override async beginPrefill(newTokens: number, promptTokens: number): Promise<CachePrefill> {
    const rows = await super.beginPrefill(newTokens, promptTokens);
    const from = newTokens - WINDOW;
    const bytes = WINDOW * this.#statBytes;
    let layer = 0;
    return {
      ...rows,
      stats: { buffer: this.#layerStats, from },
      track: (of) => ({ queries: this.#queries, layer: of, windowSize: WINDOW, from }),
      layerSubmitted: () =>
        copy(this.#context, [[this.#layerStats, 0, this.#stats, layer++ * bytes, bytes]]),
    };
  }

  override destroy(): void {
    super.destroy();
    for (const buffer of [this.#queries, this.#stats, this.#layerStats]) {
      this.#context.buffers.destroy(buffer);
    }
  }

  /** Lay a layer's rows and queries where a prefill of all tokens leaves them. */
  copyTo(to: CachePrefill, layer: number, tokens: number): void {
    const { numKvHeads } = this.shape;
    const { keys, values, capacity } = this.region(layer);
    const staged = to.staged(layer);
    const row = kvRowBytes(this.shape);
    const copies: Copy[] = [];
    for (let head = 0; head < numKvHeads; head++) {
      const [source, target] = [head * capacity * row, head * staged.stride * row];
      copies.push([keys, source, staged.keys, target, tokens * row]);
      copies.push([values, source, staged.values, target, tokens * row]);
    }
    const { queries, windowSize: window } = to.track(layer) as RowTracking;
    for (let position = tokens - window; position < tokens; position++) {
      const source = (layer * WINDOW + (position % WINDOW)) * this.#queryBytes;
      const target = (layer * window + (position % window)) * this.#queryBytes;
      copies.push([this.#queries, source, queries, target, this.#queryBytes]);
    }
    if (to.stats !== undefined) {
      const source = (layer * WINDOW + WINDOW - window) * this.#statBytes;
      copies.push([this.#stats, source, to.stats.buffer, 0, window * this.#statBytes]);
    }
    copy(this.#context, copies);
  }
}

type Copy = readonly [
  from: GPUBuffer,
  fromOffset: number,
  to: GPUBuffer,
  toOffset: number,
  bytes: number,
];

function copy({ device }: GpuContext, copies: readonly Copy[]): void {
  const encoder = device.createCommandEncoder();
  for (const [from, fromOffset, to, toOffset, bytes] of copies) {
    encoder.copyBufferToBuffer(from, fromOffset, to, toOffset, bytes);
  }
  device.queue.submit([encoder.finish()]);
}

function createBuffer({ buffers }: GpuContext, bytes: number, usage: number): GPUBuffer {
  return buffers.create({ label: "recorded", purpose: "kv", bytes, usage });
}
