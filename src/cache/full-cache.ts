import { GpuOutOfMemoryError } from "../errors.ts";
import type { GpuContext } from "../gpu/device.ts";
import type {
  CachePrefill,
  HeadRows,
  KvCache,
  LayerRegion,
  LayerRows,
  RestorePoint,
} from "./kv-cache.ts";
import { type KvShape, kvRowBytes, tableBytes } from "./layout.ts";
import type { ResolvedCacheOptions } from "./options.ts";
import { type CachePlan, planCache } from "./scheduler.ts";
import { writeTable } from "./table.ts";

/** A restore point: the first rows of the cache. */
interface FullPoint extends RestorePoint {
  /** Tokens whose rows are still there: later ones were dropped, and others may have come. */
  whole: number;
  readonly capacity: number;
  readonly plan: CachePlan | undefined;
}

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
  #plan: CachePlan | undefined;
  readonly #points = new Set<FullPoint>();

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
    return Math.max(this.#tokens, ...this.#regions.map(({ capacity }) => capacity));
  }

  /** Restore points are only lengths. */
  get hostBytes(): number {
    return 0;
  }

  get plan(): CachePlan | undefined {
    return this.#plan;
  }

  /** Rows that every head of every layer has room for. */
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
    const { numLayers, numKvHeads } = this.shape;
    const keptMass = Array<number>(numKvHeads).fill(1);
    return Array.from({ length: numLayers }, (_, layer) => {
      const capacity = this.#regions[layer]?.capacity ?? 0;
      const length = this.#tokens;
      const head = {
        budget: length,
        length,
        capacity,
        bytes: 2 * capacity * kvRowBytes(this.shape),
      };
      const heads = Array.from({ length: numKvHeads }, (): HeadRows => head);
      return { ...head, bytes: numKvHeads * head.bytes, heads, keptMass };
    });
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

  cutPoint(tokens: number, promptTokens: number): number {
    return Math.min(tokens, promptTokens - 1);
  }

  async cut(tokens: number): Promise<void> {
    for (const point of this.#points) point.whole = Math.min(point.whole, tokens);
    this.settle(tokens);
  }

  async restorePoint(): Promise<FullPoint> {
    const [tokens, capacity] = [this.#tokens, this.#capacity];
    const release = (): void => void this.#points.delete(point);
    const point = { tokens, whole: tokens, capacity, plan: this.#plan, hostBytes: 0, release };
    this.#points.add(point);
    return point;
  }

  async restore(point: FullPoint | undefined): Promise<void> {
    await this.cut(point?.whole ?? 0);
    if (point === undefined || point.whole === 0) return this.clear();
    this.#plan = point.plan;
    try {
      await this.#resize(Math.min(point.capacity, this.#capacity), this.#tokens);
    } catch (error) {
      // Rows may as well stay in buffers that are larger than they were.
      if (!(error instanceof GpuOutOfMemoryError)) throw error;
    }
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
    for (const region of this.#regions) this.#free(region);
    this.#regions = [];
  }

  destroy(): void {
    this.clear();
    this.#gpu.buffers.destroy(this.table);
  }

  /** @throws GpuOutOfMemoryError, and the cache holds what it held. */
  async #reserve(tokens: number, newTokens: number, promptTokens: number): Promise<void> {
    const { numLayers } = this.shape;
    const plan = planCache(this.shape, this.options, {
      promptTokens,
      tokens,
      newTokens,
      lengths: Array<number>(numLayers).fill(this.#tokens),
      capacities: Array<number>(numLayers).fill(this.#capacity),
      longest: this.#tokens,
      evict: false,
    });
    await this.#resize(plan.capacities[0] as number, tokens);
    this.#plan = plan;
  }

  /** @throws GpuOutOfMemoryError, and the cache holds what it held. */
  async #resize(capacity: number, tokens: number): Promise<void> {
    const other = this.#regions.flatMap((region, l) => (region.capacity === capacity ? [] : l));
    if (other.length === 0 && this.#regions.length > 0) return;
    const bytes = 2 * this.shape.numKvHeads * capacity * kvRowBytes(this.shape);
    const label = `cache rows of ${tokens} tokens`;
    const allocate = (which: readonly number[]): Promise<LayerRegion[]> =>
      this.#gpu.allocating(label, this.shape.numLayers * bytes, () =>
        which.map((layer) => this.#allocate(layer, capacity)),
      );
    try {
      if (this.#tokens === 0) {
        for (const region of this.#regions) this.#free(region);
        this.#regions = [];
        this.#regions = await allocate(Array.from({ length: this.shape.numLayers }, (_, l) => l));
      } else {
        // One layer after the other, so that no more than one is there twice.
        for (const layer of other) {
          const [made] = (await allocate([layer])) as [LayerRegion];
          this.#regions = this.#regions.with(layer, this.#moved(this.region(layer), made));
        }
      }
    } finally {
      this.#writeTable();
    }
  }

  /** Copy the rows in use and free where they were. */
  #moved(old: LayerRegion, made: LayerRegion): LayerRegion {
    const rowBytes = kvRowBytes(this.shape);
    const bytes = this.#tokens * rowBytes;
    const encoder = this.#gpu.device.createCommandEncoder();
    for (let head = 0; head < this.shape.numKvHeads; head++) {
      const from = head * old.capacity * rowBytes;
      const to = head * made.capacity * rowBytes;
      encoder.copyBufferToBuffer(old.keys, from, made.keys, to, bytes);
      encoder.copyBufferToBuffer(old.values, from, made.values, to, bytes);
    }
    this.#gpu.device.queue.submit([encoder.finish()]);
    this.#free(old);
    return made;
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
