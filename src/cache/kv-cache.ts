import type { BufferAllocator } from "../gpu/buffers.ts";

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
  readonly #device: GPUDevice;
  readonly #buffers: BufferAllocator;
  #layers: LayerRegion[] = [];
  #length = 0;

  constructor(device: GPUDevice, buffers: BufferAllocator, shape: KvShape) {
    this.shape = shape;
    this.#device = device;
    this.#buffers = buffers;
    this.table = buffers.create({
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

  /** Rows allocated per head. */
  get capacity(): number {
    return this.#layers[0]?.capacity ?? 0;
  }

  /** The region of `layer`; `reserve` comes first. */
  layer(layer: number): LayerRegion {
    const region = this.#layers[layer];
    if (region === undefined) throw new Error(`the cache has no rows for layer ${layer}`);
    return region;
  }

  /** Make room for `tokens` tokens in all, keeping the rows in use. True if buffers changed. */
  reserve(tokens: number): boolean {
    const capacity = fullCapacity(tokens);
    if (capacity <= this.capacity) return false;
    for (let layer = 0; layer < this.shape.numLayers; layer++) {
      this.#layers[layer] = this.#grown(layer, capacity);
    }
    this.#writeTable();
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
    for (const { keys, values } of this.#layers) {
      this.#buffers.destroy(keys);
      this.#buffers.destroy(values);
    }
    this.#layers = [];
  }

  destroy(): void {
    this.clear();
    this.#buffers.destroy(this.table);
  }

  #grown(layer: number, capacity: number): LayerRegion {
    const old = this.#layers[layer];
    const keys = this.#allocate("keys", layer, capacity);
    const values = this.#allocate("values", layer, capacity);
    if (old !== undefined) {
      const rowBytes = kvRowBytes(this.shape);
      const encoder = this.#device.createCommandEncoder();
      for (let head = 0; head < this.shape.numKvHeads && this.#length > 0; head++) {
        const from = head * old.capacity * rowBytes;
        const to = head * capacity * rowBytes;
        const bytes = this.#length * rowBytes;
        encoder.copyBufferToBuffer(old.keys, from, keys, to, bytes);
        encoder.copyBufferToBuffer(old.values, from, values, to, bytes);
      }
      this.#device.queue.submit([encoder.finish()]);
      this.#buffers.destroy(old.keys);
      this.#buffers.destroy(old.values);
    }
    return { keys, values, capacity };
  }

  #allocate(what: "keys" | "values", layer: number, capacity: number): GPUBuffer {
    return this.#buffers.create({
      label: `layer ${layer} ${what}`,
      purpose: "kv",
      layer,
      bytes: this.shape.numKvHeads * capacity * kvRowBytes(this.shape),
      usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
    });
  }

  #writeTable(): void {
    const { numLayers, numKvHeads } = this.shape;
    const words = new Uint32Array(numLayers * numKvHeads * TABLE_ENTRY_WORDS);
    for (let entry = 0; entry < numLayers * numKvHeads; entry++) {
      const head = entry % numKvHeads;
      words.set([head * this.capacity, this.#length, this.capacity, 0], entry * TABLE_ENTRY_WORDS);
    }
    this.#device.queue.writeBuffer(this.table, 0, words);
  }
}
