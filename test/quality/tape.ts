import { CompressedCache } from "../../src/cache/compressed-cache.ts";
import { createCompressor } from "../../src/cache/compressor.ts";
import type { CachePrefill, KvCache, RowTracking } from "../../src/cache/kv-cache.ts";
import { kvRowBytes, queryRingBytes } from "../../src/cache/layout.ts";
import { resolveCacheOptions } from "../../src/cache/options.ts";
import type { GpuContext } from "../../src/gpu/device.ts";
import { Recorder } from "../../src/gpu/recorder.ts";

/** Queries that are kept of a prompt: no policy under test ranks by more. */
const WINDOW = 8;

const REPLAY_DISPATCHES = 32;

/** What one prefill gave a cache: the staged rows of every layer, and what ranks them. */
interface Segment {
  readonly tokens: number;
  /** Per layer `[KV head][tokens]` rows. */
  readonly keys: readonly GPUBuffer[];
  readonly values: readonly GPUBuffer[];
  /** Per layer max and sum of the last `WINDOW` queries. */
  readonly stats: readonly GPUBuffer[];
  /** The ring of queries when the prefill was done. */
  readonly queries: GPUBuffer;
}

/**
 * A cache that keeps everything and can tape what a prefill gives it. A layer's rows are the same whatever is kept of the
 * layers below, since a policy evicts only after the layer's attention. So one prefill of a prompt serves every policy
 * and budget: `replay` puts what was taped through the same calls as a prefill would.
 */
export class TapedCache extends CompressedCache {
  readonly #gpu: GpuContext;
  #segments: Segment[] = [];
  #taping = false;

  static async open(gpu: GpuContext, shape: KvCache["shape"]): Promise<TapedCache> {
    const keepAll = { policy: "snapkv", budget: 2 ** 20, windowSize: WINDOW } as const;
    const options = resolveCacheOptions({ ...keepAll, kvDtype: shape.dtype }, shape.numLayers);
    return new TapedCache(gpu, shape, options, await createCompressor(gpu, shape, options));
  }

  private constructor(...input: ConstructorParameters<typeof CompressedCache>) {
    super(...input);
    this.#gpu = input[0];
  }

  /** Tape the prefills of `work`, which follow on what is taped already. */
  async tape(work: () => Promise<void>): Promise<void> {
    this.#taping = true;
    try {
      await work();
    } finally {
      this.#taping = false;
    }
  }

  override async beginPrefill(
    newTokens: number,
    promptTokens: number,
    evict: boolean,
  ): Promise<CachePrefill> {
    const rows = await super.beginPrefill(newTokens, promptTokens, evict);
    const { stats } = rows;
    if (!this.#taping) return rows;
    if (stats === undefined) throw new Error(`a taped prefill has at least ${WINDOW} tokens`);
    const { numLayers, numKvHeads, numHeads } = this.shape;
    const rowBytes = numKvHeads * newTokens * kvRowBytes(this.shape);
    const layers = Array.from({ length: numLayers }, (_, layer) => layer);
    const segment = {
      tokens: newTokens,
      keys: layers.map(() => this.#create("taped keys", rowBytes)),
      values: layers.map(() => this.#create("taped values", rowBytes)),
      stats: layers.map(() => this.#create("taped stats", WINDOW * numHeads * 8)),
      queries: this.#create("taped queries", queryRingBytes(this.shape, WINDOW)),
    };
    this.#segments.push(segment);
    let taken = 0;
    return {
      stats,
      staged: (layer) => rows.staged(layer),
      keptRows: (layer) => rows.keptRows(layer),
      track: (layer) => rows.track(layer),
      end: () => rows.end(),
      cancel: () => rows.cancel(),
      takeLayer: (list, layer) => {
        taken = layer;
        return rows.takeLayer(list, layer);
      },
      layerSubmitted: () => {
        const { keys, values } = rows.staged(taken);
        const { queries } = rows.track(taken) as RowTracking;
        this.#copy([
          [keys, segment.keys[taken]],
          [values, segment.values[taken]],
          [stats.buffer, segment.stats[taken]],
          ...(taken === numLayers - 1 ? [[queries, segment.queries] as const] : []),
        ]);
        rows.layerSubmitted();
      },
    };
  }

  /** Fill an empty cache with the first `segments` taped prefills, as if they had been one. */
  async replay(cache: KvCache, segments: number): Promise<void> {
    const played = this.#segments.slice(0, segments);
    const last = played.at(-1) as Segment;
    const { numLayers, numKvHeads, numHeads } = this.shape;
    const rowBytes = kvRowBytes(this.shape);
    const tokens = played.reduce((sum, segment) => sum + segment.tokens, 0);
    const { device, buffers } = this.#gpu;
    const rows = await cache.beginPrefill(tokens, tokens, true);
    const recorder = new Recorder(device, buffers, REPLAY_DISPATCHES, "replay");
    try {
      this.#replayQueries(rows.track(0), last, tokens);
      for (let layer = 0; layer < numLayers; layer++) {
        const { keys, values } = rows.staged(layer);
        const encoder = device.createCommandEncoder();
        let first = 0;
        for (const segment of played) {
          const bytes = segment.tokens * rowBytes;
          for (let head = 0; head < numKvHeads; head++) {
            const to = (head * tokens + first) * rowBytes;
            encoder.copyBufferToBuffer(segment.keys[layer], head * bytes, keys, to, bytes);
            encoder.copyBufferToBuffer(segment.values[layer], head * bytes, values, to, bytes);
          }
          first += segment.tokens;
        }
        if (rows.stats !== undefined) {
          const skipped = (WINDOW - (tokens - rows.stats.from)) * numHeads * 8;
          const bytes = last.stats[layer].size - skipped;
          encoder.copyBufferToBuffer(last.stats[layer], skipped, rows.stats.buffer, 0, bytes);
        }
        device.queue.submit([encoder.finish()]);
        await rows.takeLayer(recorder, layer);
        recorder.submit();
        rows.layerSubmitted();
      }
      await rows.end();
    } catch (error) {
      rows.cancel();
      throw error;
    } finally {
      recorder.destroy();
    }
  }

  /** Slot `p % windowSize` of a ring has the query of position p: rings of another size differ in their order. */
  #replayQueries(track: RowTracking | undefined, { queries }: Segment, tokens: number): void {
    if (track === undefined) return;
    const { numLayers, numHeads, headDim } = this.shape;
    const bytes = numHeads * headDim * 4;
    const encoder = this.#gpu.device.createCommandEncoder();
    for (let layer = 0; layer < numLayers; layer++) {
      for (let position = tokens - track.windowSize; position < tokens; position++) {
        const from = (layer * WINDOW + (position % WINDOW)) * bytes;
        const to = (layer * track.windowSize + (position % track.windowSize)) * bytes;
        encoder.copyBufferToBuffer(queries, from, track.queries, to, bytes);
      }
    }
    this.#gpu.device.queue.submit([encoder.finish()]);
  }

  #create(label: string, bytes: number): GPUBuffer {
    const usage = GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
    return this.#gpu.buffers.create({ label, purpose: "staging", bytes, usage });
  }

  #copy(pairs: readonly (readonly [from: GPUBuffer, to: GPUBuffer])[]): void {
    const encoder = this.#gpu.device.createCommandEncoder();
    for (const [from, to] of pairs) encoder.copyBufferToBuffer(from, 0, to, 0, to.size);
    this.#gpu.device.queue.submit([encoder.finish()]);
  }

  override clear(): void {
    super.clear();
    for (const { keys, values, stats, queries } of this.#segments) {
      for (const buffer of [...keys, ...values, ...stats, queries])
        this.#gpu.buffers.destroy(buffer);
    }
    this.#segments = [];
  }

  override destroy(): void {
    this.clear();
    super.destroy();
  }
}
