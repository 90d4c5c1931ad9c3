import type { GpuContext } from "../gpu/device.ts";
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
  readonly #gpu: Pick<GpuContext, "device" | "buffers" | "allocating">;
  #regions: readonly LayerRegion[] = [];
  #tokens = 0;
  /** Most tokens that room was made for. */
  #reserved = 0;
  #plan: CachePlan | undefined;

  constructor(
    gpu: Pick<GpuContext, "device" | "buffers" | "allocating">,
    shape: KvShape,
    options: ResolvedCacheOptions,
  ) {
    this.shape = shape;
    this.options = options;
    this.#gpu = gpu;
    this.table = gpu.buffers.create({
      label: "cache table",
      purpose: "kv",
      bytes: tableBytes(shape),
      usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC,
    });
  }

  get tokens(): number {
    return this.#tokens;
  }

  get fullTokens(): number {
    return Math.max(this.#tokens, this.#reserved);
  }

  get plan(): CachePlan | undefined {
    return this.#plan;
  }

  /** Rows allocated per head, in every layer. */
  get #capacity(): number {
    if (this.#regions.length === 0) return 0;
    return Math.min(...this.#regions.map(({ capacity }) => capacity));
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
    await this.#reserve(this.#tokens + newTokens, newTokens, promptTokens);
    const kept = this.#tokens;
    return {
      staged: (layer) => {
        const { keys, values, capacity } = this.region(layer);
        return { keys, values, offset: kept, stride: capacity, rows: capacity - kept };
      },
      keptRows: () => kept,
      stats: undefined,
      track: () => undefined,
      takeLayer: async () => {},
      layerSubmitted() {},
      end: async () => this.settle(kept + newTokens),
      cancel() {},
    };
  }

  async makeRoom(tokens: number): Promise<void> {
    this.settle(tokens);
    await this.#reserve(tokens + 1, 0, tokens);
  }

  settle(tokens: number): void {
    this.#tokens = tokens;
    this.#writeTable();
  }

  async restorePoint(): Promise<RestorePoint> {
    return { tokens: this.#tokens, hostBytes: 0, release() {} };
  }

  async restore({ tokens }: RestorePoint): Promise<void> {
    if (tokens === 0) this.clear();
    else this.settle(tokens);
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
    this.#reserved = 0;
    this.#plan = undefined;
    for (const region of this.#regions) this.#free(region);
    this.#regions = [];
  }

  destroy(): void {
    this.clear();
    this.#gpu.buffers.destroy(this.table);
  }

  /** @throws GpuOutOfMemoryError, and the cache holds what it held. */
  async #reserve(tokens: number, newTokens: number, promptTokens: number): Promise<void> {
    const layers = this.layers();
    const plan = planCache(this.shape, this.options, {
      promptTokens,
      tokens,
      newTokens,
      lengths: layers.map(({ length }) => length),
      capacities: layers.map(({ capacity }) => capacity),
      longest: this.#tokens,
      evict: false,
    });
    this.#plan = plan;
    const capacity = plan.capacities[0] as number;
    if (capacity === this.#capacity) return;
    const label = `cache rows of ${tokens} tokens`;
    const allocate = (which: readonly number[]): Promise<LayerRegion[]> =>
      this.#gpu.allocating(label, plan.bytes.final, () =>
        which.map((layer) => this.#allocate(layer, capacity)),
      );
    const all = Array.from({ length: this.shape.numLayers }, (_, layer) => layer);
    try {
      if (this.#tokens === 0) {
        for (const region of this.#regions) this.#free(region);
        this.#regions = [];
        this.#regions = await allocate(all);
      } else {
        // One layer after the other, so that no more than one is there twice.
        for (const layer of all) {
          const [grown] = (await allocate([layer])) as [LayerRegion];
          this.#regions = this.#regions.with(layer, this.#moved(this.region(layer), grown));
        }
      }
      this.#reserved = tokens;
    } finally {
      this.#writeTable();
    }
  }

  /** Copy the rows in use and free where they were. */
  #moved(old: LayerRegion, grown: LayerRegion): LayerRegion {
    const rowBytes = kvRowBytes(this.shape);
    const bytes = this.#tokens * rowBytes;
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
    writeTable(this.#gpu.device, this.table, numLayers * numKvHeads, (entry) => {
      const capacity = this.#regions[Math.floor(entry / numKvHeads)]?.capacity ?? 0;
      return [(entry % numKvHeads) * capacity, this.#tokens, capacity];
    });
  }
}
