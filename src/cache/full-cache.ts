import type { BufferAllocator } from "../gpu/buffers.ts";
import type { CachePrefill, KvCache, LayerRegion, LayerRows, RestorePoint } from "./kv-cache.ts";
import { type KvShape, kvRowBytes, tableBytes } from "./layout.ts";
import type { ResolvedCacheOptions } from "./options.ts";
import { type CachePlan, planCache } from "./scheduler.ts";
import { writeTable } from "./table.ts";

/**
 * Policy `full`: every row stays. Each layer has one region of keys and one of values,
 * `[head][capacity][headDim]`, that grows by whole granules; a prefill writes its rows right where
 * they stay.
 */
export class FullCache implements KvCache {
  readonly shape: KvShape;
  readonly options: ResolvedCacheOptions;
  readonly table: GPUBuffer;
  readonly #device: GPUDevice;
  readonly #buffers: BufferAllocator;
  #regions: LayerRegion[] = [];
  #tokens = 0;
  #plan: CachePlan | undefined;

  constructor(
    device: GPUDevice,
    buffers: BufferAllocator,
    shape: KvShape,
    options: ResolvedCacheOptions,
  ) {
    this.shape = shape;
    this.options = options;
    this.#device = device;
    this.#buffers = buffers;
    this.table = buffers.create({
      label: "cache table",
      purpose: "kv",
      bytes: tableBytes(shape),
      usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC,
    });
  }

  get tokens(): number {
    return this.#tokens;
  }

  get plan(): CachePlan | undefined {
    return this.#plan;
  }

  get #capacity(): number {
    return this.#regions[0]?.capacity ?? 0;
  }

  region(layer: number): LayerRegion {
    const region = this.#regions[layer];
    if (region === undefined) throw new Error(`the cache has no rows for layer ${layer}`);
    return region;
  }

  layers(): LayerRows[] {
    const bytes = 2 * this.shape.numKvHeads * this.#capacity * kvRowBytes(this.shape);
    const [budget, length, capacity] = [this.#tokens, this.#tokens, this.#capacity];
    const keptMass = Array<number>(this.shape.numKvHeads).fill(1);
    return Array.from({ length: this.shape.numLayers }, () => ({
      budget,
      length,
      capacity,
      bytes,
      keptMass,
    }));
  }

  room(): number {
    return this.#capacity - this.#tokens;
  }

  async beginPrefill(newTokens: number, promptTokens: number): Promise<CachePrefill> {
    this.#reserve(this.#tokens + newTokens, newTokens, promptTokens);
    const kept = this.#tokens;
    return {
      staged: (layer) => {
        const { keys, values, capacity } = this.region(layer);
        return { keys, values, offset: kept, stride: capacity, rows: capacity - kept };
      },
      keptRows: () => kept,
      stats: undefined,
      track: () => undefined,
      takeLayer() {},
      layerSubmitted() {},
      end: async () => this.settle(kept + newTokens),
      cancel() {},
    };
  }

  async makeRoom(tokens: number): Promise<void> {
    this.settle(tokens);
    this.#reserve(tokens + 1, 0, tokens);
  }

  settle(tokens: number): void {
    this.#tokens = tokens;
    this.#writeTable();
  }

  async restorePoint(): Promise<RestorePoint> {
    return { tokens: this.#tokens, hostBytes: 0, release() {} };
  }

  async restore({ tokens }: RestorePoint): Promise<void> {
    this.settle(tokens);
  }

  async keptPositions(): Promise<number[][]> {
    const all = Array.from({ length: this.#tokens }, (_, position) => position);
    return Array.from({ length: this.shape.numKvHeads }, () => all);
  }

  track(): undefined {
    return undefined;
  }

  clear(): void {
    this.#tokens = 0;
    this.#plan = undefined;
    for (const { keys, values } of this.#regions) {
      this.#buffers.destroy(keys);
      this.#buffers.destroy(values);
    }
    this.#regions = [];
  }

  destroy(): void {
    this.clear();
    this.#buffers.destroy(this.table);
  }

  #reserve(tokens: number, newTokens: number, promptTokens: number): void {
    const layers = this.layers();
    this.#plan = planCache(this.shape, this.options, {
      promptTokens,
      tokens,
      newTokens,
      lengths: layers.map(({ length }) => length),
      capacities: layers.map(({ capacity }) => capacity),
      longest: this.#tokens,
      evict: false,
    });
    const capacity = this.#plan.capacities[0] as number;
    if (capacity === this.#capacity) return;
    for (let layer = 0; layer < this.shape.numLayers; layer++) {
      this.#regions[layer] = this.#grown(layer, capacity);
    }
    this.#writeTable();
  }

  #grown(layer: number, capacity: number): LayerRegion {
    const old = this.#regions[layer];
    const keys = this.#allocate("keys", layer, capacity);
    const values = this.#allocate("values", layer, capacity);
    if (old !== undefined) {
      const rowBytes = kvRowBytes(this.shape);
      const encoder = this.#device.createCommandEncoder();
      for (let head = 0; head < this.shape.numKvHeads && this.#tokens > 0; head++) {
        const from = head * old.capacity * rowBytes;
        const to = head * capacity * rowBytes;
        const bytes = this.#tokens * rowBytes;
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
    writeTable(this.#device, this.table, numLayers * numKvHeads, (entry) => [
      (entry % numKvHeads) * this.#capacity,
      this.#tokens,
      this.#capacity,
    ]);
  }
}
