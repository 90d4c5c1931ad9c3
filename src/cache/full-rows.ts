import type { LayerRegion } from "./kv-cache.ts";
import { type KvShape, kvRowBytes } from "./layout.ts";
import type { RowsGpu } from "./read-back.ts";
import { createTable, writeTable } from "./table.ts";

/**
 * The rows of policy `full`: each layer has one region of keys and one of values,
 * `[head][capacity][headDim]`, and the table says so to the kernels.
 */
export class FullRows {
  readonly table: GPUBuffer;
  readonly #gpu: RowsGpu;
  readonly #shape: KvShape;
  #regions: readonly LayerRegion[] = [];

  constructor(gpu: RowsGpu, shape: KvShape) {
    this.#gpu = gpu;
    this.#shape = shape;
    this.table = createTable(gpu, shape);
  }

  /** Rows that every head of every layer has room for. */
  get capacity(): number {
    if (this.#regions.length === 0) return 0;
    return Math.min(...this.#regions.map(({ capacity }) => capacity));
  }

  /** Rows that the largest layer has room for. */
  get mostCapacity(): number {
    return Math.max(0, ...this.#regions.map(({ capacity }) => capacity));
  }

  region(layer: number): LayerRegion | undefined {
    return this.#regions[layer];
  }

  /**
   * Give every head room for `capacity` rows, since `tokens` tokens need them; the first `length`
   * rows stay.
   * @throws GpuOutOfMemoryError; then every layer has the room that it had, or the new one.
   */
  async resize(capacity: number, length: number, tokens: number): Promise<void> {
    const { numLayers, numKvHeads } = this.#shape;
    const other = this.#regions.flatMap((region, l) => (region.capacity === capacity ? [] : l));
    if (other.length === 0 && this.#regions.length > 0) return;
    const bytes = 2 * numLayers * numKvHeads * capacity * kvRowBytes(this.#shape);
    const allocate = (which: readonly number[]): Promise<LayerRegion[]> =>
      this.#gpu.allocating(`cache rows of ${tokens} tokens`, bytes, () =>
        which.map((layer) => this.#allocate(layer, capacity)),
      );
    try {
      if (length === 0) {
        this.clear();
        this.#regions = await allocate(Array.from({ length: numLayers }, (_, l) => l));
      } else {
        // One layer after the other, so that no more than one is there twice.
        for (const layer of other) {
          const [made] = (await allocate([layer])) as [LayerRegion];
          const old = this.#regions[layer] as LayerRegion;
          this.#copy(old, made, length);
          this.#free(old);
          this.#regions = this.#regions.with(layer, made);
        }
      }
    } finally {
      this.writeTable(length);
    }
  }

  /** Tell the kernels that every head has `length` rows. */
  writeTable(length: number): void {
    const { numLayers, numKvHeads } = this.#shape;
    writeTable(this.#gpu.device, this.table, numLayers * numKvHeads, (entry) => {
      const capacity = this.#regions[Math.floor(entry / numKvHeads)]?.capacity ?? 0;
      return [(entry % numKvHeads) * capacity, length, capacity];
    });
  }

  /** Give all rows back. The table stays: it is written again before anything reads it. */
  clear(): void {
    for (const region of this.#regions) this.#free(region);
    this.#regions = [];
  }

  destroy(): void {
    this.clear();
    this.#gpu.buffers.destroy(this.table);
  }

  /** Copy the first `length` rows of every head. */
  #copy(old: LayerRegion, made: LayerRegion, length: number): void {
    const rowBytes = kvRowBytes(this.#shape);
    const encoder = this.#gpu.device.createCommandEncoder();
    for (let head = 0; head < this.#shape.numKvHeads; head++) {
      const from = head * old.capacity * rowBytes;
      const to = head * made.capacity * rowBytes;
      encoder.copyBufferToBuffer(old.keys, from, made.keys, to, length * rowBytes);
      encoder.copyBufferToBuffer(old.values, from, made.values, to, length * rowBytes);
    }
    this.#gpu.device.queue.submit([encoder.finish()]);
  }

  #allocate(layer: number, capacity: number): LayerRegion {
    const create = (what: "keys" | "values"): GPUBuffer =>
      this.#gpu.buffers.create({
        label: `layer ${layer} ${what}`,
        purpose: "kv",
        layer,
        bytes: this.#shape.numKvHeads * capacity * kvRowBytes(this.#shape),
        usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
      });
    return { keys: create("keys"), values: create("values"), capacity };
  }

  #free({ keys, values }: LayerRegion): void {
    this.#gpu.buffers.destroy(keys);
    this.#gpu.buffers.destroy(values);
  }
}
