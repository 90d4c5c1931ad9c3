import type { GpuContext } from "../gpu/device.ts";

/** Storage type of cached keys and values; `f16` is packed in u32 and needs no GPU feature. */
export type KvDtype = "f16" | "f32";

/** What the cache needs to know of a model. */
export interface KvShape {
  readonly numLayers: number;
  readonly numKvHeads: number;
  readonly headDim: number;
  readonly dtype: KvDtype;
}

/** Rows per head are allocated in multiples of this, so that buffers rarely change. */
export const CAPACITY_GRANULE = 256;

const TABLE_ENTRY_WORDS = 4;

/** Bytes of one row (one token, one KV head) of keys or of values. */
export function kvRowBytes({ headDim, dtype }: KvShape): number {
  return headDim * (dtype === "f16" ? 2 : 4);
}

/** Rows per head that policy `full` allocates for `tokens` tokens. */
export function fullCapacity(tokens: number): number {
  return Math.ceil(tokens / CAPACITY_GRANULE) * CAPACITY_GRANULE;
}

/** Bytes that policy `full` allocates for `tokens` tokens: keys and values of all layers, table. */
export function fullCacheBytes(shape: KvShape, tokens: number): number {
  const rows = shape.numLayers * shape.numKvHeads * fullCapacity(tokens);
  return 2 * rows * kvRowBytes(shape) + tableBytes(shape);
}

function tableBytes({ numLayers, numKvHeads }: KvShape): number {
  return numLayers * numKvHeads * TABLE_ENTRY_WORDS * 4;
}

/** Keys and values of one layer: `[head][capacity][headDim]` each. */
export interface LayerRegion {
  readonly keys: GPUBuffer;
  readonly values: GPUBuffer;
  /** Rows allocated per KV head. */
  readonly capacity: number;
}

/**
 * The uncompressed cache (policy `full`): per layer one region of keys and one of values, and a
 * table `[layer][head]` of (offset, length, capacity, 0) that the kernels read. The GPU counts
 * lengths up by itself; the host writes the table only when regions change or rows are dropped.
 */
export class KvCache {
  readonly shape: KvShape;
  /** `array<vec4<u32>>`, `numLayers * numKvHeads` entries. */
  readonly table: GPUBuffer;
  readonly #gpu: Pick<GpuContext, "device" | "buffers" | "allocating">;
  #layers: readonly LayerRegion[] = [];
  #length = 0;
  #reserved = 0;

  constructor(gpu: Pick<GpuContext, "device" | "buffers" | "allocating">, shape: KvShape) {
    this.shape = shape;
    this.#gpu = gpu;
    this.table = gpu.buffers.create({
      label: "cache table",
      purpose: "kv",
      bytes: tableBytes(shape),
      usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC,
    });
  }

  /** Rows in use per head: the tokens that the cache holds. */
  get length(): number {
    return this.#length;
  }

  /** Rows allocated per head, in every layer. */
  get capacity(): number {
    if (this.#layers.length === 0) return 0;
    return Math.min(...this.#layers.map(({ capacity }) => capacity));
  }

  /** Most tokens that there was room made for since the cache was last cleared. */
  get reserved(): number {
    return this.#reserved;
  }

  /** The region of `layer`; `reserve` comes first. */
  layer(layer: number): LayerRegion {
    const region = this.#layers[layer];
    if (region === undefined) throw new Error(`the cache has no rows for layer ${layer}`);
    return region;
  }

  /**
   * Make room for `tokens` tokens in all, keeping the rows in use. True if buffers changed.
   * @throws GpuOutOfMemoryError, and the cache holds what it held.
   */
  async reserve(tokens: number): Promise<boolean> {
    const capacity = fullCapacity(tokens);
    if (capacity <= this.capacity) return false;
    const bytes = fullCacheBytes(this.shape, tokens);
    const allocate = (layers: readonly number[]): Promise<LayerRegion[]> =>
      this.#gpu.allocating(`cache rows of ${tokens} tokens`, bytes, () =>
        layers.map((layer) => this.#allocate(layer, capacity)),
      );
    const all = Array.from({ length: this.shape.numLayers }, (_, layer) => layer);
    try {
      if (this.#length === 0) {
        this.clear();
        this.#layers = await allocate(all);
      } else {
        // One layer after the other, so that no more than one is there twice.
        for (const layer of all) {
          const [grown] = (await allocate([layer])) as [LayerRegion];
          this.#layers = this.#layers.with(layer, this.#moved(this.layer(layer), grown));
        }
      }
      this.#reserved = tokens;
    } finally {
      this.#writeTable();
    }
    return true;
  }

  /** Note that the GPU appended `tokens` rows to every head. */
  appended(tokens: number): void {
    this.#length += tokens;
  }

  /** Drop the last rows, so that `length` remain; the GPU must be done with the dropped ones. */
  truncate(length: number): void {
    this.#length = length;
    this.#writeTable();
  }

  /** Drop everything and give the memory back. */
  clear(): void {
    this.#length = 0;
    this.#reserved = 0;
    for (const region of this.#layers) this.#free(region);
    this.#layers = [];
  }

  destroy(): void {
    this.clear();
    this.#gpu.buffers.destroy(this.table);
  }

  /** Copy the rows in use and free where they were. */
  #moved(old: LayerRegion, grown: LayerRegion): LayerRegion {
    const rowBytes = kvRowBytes(this.shape);
    const bytes = this.#length * rowBytes;
    const encoder = this.#gpu.device.createCommandEncoder();
    for (let head = 0; head < this.shape.numKvHeads; head++) {
      const from = head * old.capacity * rowBytes;
      const to = head * grown.capacity * rowBytes;
      encoder.copyBufferToBuffer(old.keys, from, grown.keys, to, bytes);
      encoder.copyBufferToBuffer(old.values, from, grown.values, to, bytes);
    }
    this.#gpu.device.queue.submit([encoder.finish()]);
    this.#free(old);
    return grown;
  }

  #allocate(layer: number, capacity: number): LayerRegion {
    const create = (what: "keys" | "values"): GPUBuffer =>
      this.#gpu.buffers.create({
        label: `layer ${layer} ${what}`,
        purpose: "kv",
        layer,
        bytes: this.shape.numKvHeads * capacity * kvRowBytes(this.shape),
        usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
      });
    return { keys: create("keys"), values: create("values"), capacity };
  }

  #free({ keys, values }: LayerRegion): void {
    this.#gpu.buffers.destroy(keys);
    this.#gpu.buffers.destroy(values);
  }

  #writeTable(): void {
    const { numLayers, numKvHeads } = this.shape;
    const words = new Uint32Array(numLayers * numKvHeads * TABLE_ENTRY_WORDS);
    this.#layers.forEach(({ capacity }, layer) => {
      for (let head = 0; head < numKvHeads; head++) {
        const entry = layer * numKvHeads + head;
        words.set([head * capacity, this.#length, capacity, 0], entry * TABLE_ENTRY_WORDS);
      }
    });
    this.#gpu.device.queue.writeBuffer(this.table, 0, words);
  }
}
