import { createCache } from "../../cache/create-cache.ts";
import type { KvCache } from "../../cache/kv-cache.ts";
import { resolveCacheOptions } from "../../cache/options.ts";
import { type GpuContext, openGpu } from "../../gpu/device.ts";
import { Recorder } from "../../gpu/recorder.ts";
import type { CacheOptions, KvDtype, ModelConfig } from "../../index.ts";
import { between, stamp, type Took } from "./stopwatch.ts";

/** Dispatches of one layer's compression, with room to spare. */
const LAYER_DISPATCHES = 32;

/** Every word holds two f16 of about 1, or one f32 of about 1e-2: keys and queries like any others. */
const ROW_WORD = 0x3c003c00;

/**
 * The compression alone, of all layers of a model, on a device of its own: scoring, selection, compaction and the
 * read-back of the table, in the very calls that a prefill and decode make, but for the layers between them.
 */
export class CompressionProbe {
  readonly #gpu: GpuContext;
  readonly #cache: KvCache;
  readonly #recorder: Recorder;

  private constructor(gpu: GpuContext, cache: KvCache) {
    this.#gpu = gpu;
    this.#cache = cache;
    this.#recorder = new Recorder(gpu.device, gpu.buffers, LAYER_DISPATCHES, "compression probe");
  }

  static async open(
    gpu: GPU,
    config: ModelConfig,
    options: CacheOptions & { readonly kvDtype: KvDtype },
  ): Promise<CompressionProbe> {
    const context = await openGpu({ gpu });
    try {
      const { numLayers, numHeads, numKvHeads, headDim } = config;
      const shape = { numLayers, numHeads, numKvHeads, headDim, dtype: options.kvDtype };
      const cache = await createCache(context, shape, resolveCacheOptions(options, numLayers));
      return new CompressionProbe(context, cache);
    } catch (error) {
      context.destroy();
      throw error;
    }
  }

  /** Compress a prompt of so many tokens, as its prefill does. */
  async prompt(tokens: number): Promise<Took> {
    this.#cache.clear();
    const rows = await this.#cache.beginPrefill(tokens, tokens, true);
    const { keys, values } = rows.staged(0);
    for (const buffer of [keys, values, rows.track(0)?.queries]) {
      if (buffer !== undefined) this.#fill(buffer);
    }
    await this.#gpu.idle();
    const start = stamp();
    const { numLayers } = this.#cache.shape;
    for (let layer = 0; layer < numLayers; layer++) {
      await rows.takeLayer(this.#recorder, layer);
      this.#recorder.submit();
      rows.layerSubmitted();
    }
    await rows.end();
    return between(start, stamp());
  }

  /** Compress once more when decode has used up the spare rows; returns how many those were. */
  async again(): Promise<Took & { readonly tokens: number }> {
    const tokens = this.#cache.room();
    const start = stamp();
    await this.#cache.makeRoom(this.#cache.tokens + tokens);
    return { ...between(start, stamp()), tokens };
  }

  destroy(): void {
    this.#recorder.destroy();
    this.#cache.destroy();
    this.#gpu.destroy();
  }

  /** Other words for other rows, so that scores differ. */
  #fill(buffer: GPUBuffer): void {
    const words = Uint32Array.from({ length: buffer.size / 4 }, (_, i) => {
      const noise = Math.imul(i + 1, 0x9e3779b1) >>> 0;
      return (ROW_WORD ^ (noise & 0x83ff83ff)) >>> 0;
    });
    this.#gpu.device.queue.writeBuffer(buffer, 0, words);
  }
}
