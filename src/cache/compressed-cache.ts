import type { GpuContext } from "../gpu/device.ts";
import { type DispatchList, Recorder } from "../gpu/recorder.ts";
import type { Compressor, Scratch } from "./compressor.ts";
import type { CachePrefill, KvCache, LayerRegion, LayerRows, RowTracking } from "./kv-cache.ts";
import {
  compressedRowBytes,
  keptMassBytes,
  type KvShape,
  kvRowBytes,
  queryRingBytes,
  tableBytes,
} from "./layout.ts";
import type { ResolvedCacheOptions } from "./options.ts";
import { readBack } from "./read-back.ts";
import { SavedPoint, type SavedRows, saveRows } from "./saved-point.ts";
import { type CachePlan, planCache } from "./scheduler.ts";
import { type TableEntry, tableEntry, writeTable } from "./table.ts";

type Region = Required<LayerRegion>;

/** What a layer had before a compression that is not submitted yet. */
interface Replaced {
  readonly layer: number;
  readonly region: Region | undefined;
}

const NO_ROWS: TableEntry = [0, 0, 0];

/** Dispatches of one layer's compression, with room to spare. */
const LAYER_DISPATCHES = 32;

/**
 * A cache that keeps what its policy ranks highest. A prefill stages one layer at a time and
 * compresses it into rows that are allocated to measure; decode appends to spare rows, and the
 * cache is compressed again when they are used up. No buffer of a full cache's size ever exists.
 */
export class CompressedCache implements KvCache {
  readonly shape: KvShape;
  readonly options: ResolvedCacheOptions;
  readonly table: GPUBuffer;
  readonly #gpu: GpuContext;
  readonly #compressor: Compressor;
  readonly #queries: GPUBuffer;
  readonly #keptMass: GPUBuffer;
  readonly #regions: (Region | undefined)[];
  /** The table as the GPU has it, but for rows that decode has appended since. */
  #entries: TableEntry[] = [];
  #tokens = 0;
  #promptTokens = 0;
  #plan: CachePlan | undefined;
  /** Of the last compression, `[layer][head]`; empty before it. */
  #mass: readonly number[] = [];
  /** Restore points in use; their rows are saved before an eviction. */
  readonly #points = new Set<SavedPoint>();

  constructor(
    gpu: GpuContext,
    shape: KvShape,
    options: ResolvedCacheOptions,
    compressor: Compressor,
  ) {
    const { windowSize } = options;
    this.shape = shape;
    this.options = options;
    this.#gpu = gpu;
    this.#compressor = compressor;
    this.table = this.#create("cache table", tableBytes(shape));
    this.#queries = this.#create("window queries", queryRingBytes(shape, windowSize));
    this.#keptMass = this.#create("kept attention mass", keptMassBytes(shape));
    this.#regions = Array<undefined>(shape.numLayers).fill(undefined);
    this.clear();
  }

  get tokens(): number {
    return this.#tokens;
  }

  get fullTokens(): number {
    return this.#tokens;
  }

  get plan(): CachePlan | undefined {
    return this.#plan;
  }

  region(layer: number): Region {
    const region = this.#regions[layer];
    if (region === undefined) throw new Error(`the cache has no rows for layer ${layer}`);
    return region;
  }

  layers(): LayerRows[] {
    const { numKvHeads } = this.shape;
    return this.#regions.map((region, layer) => ({
      budget: this.#plan?.budgets[layer],
      length: longest(this.#heads(layer)),
      capacity: region?.capacity ?? 0,
      bytes: region === undefined ? 0 : rowsOf(region) * compressedRowBytes(this.shape),
      keptMass: this.#heads(layer).map((_, h) => this.#mass[layer * numKvHeads + h] ?? 1),
    }));
  }

  track(layer: number): RowTracking {
    const { positions } = this.region(layer);
    return { ...this.#tracking(layer), positions };
  }

  room(): number {
    return Math.min(...this.#entries.map(([, length, capacity]) => capacity - length));
  }

  async beginPrefill(
    newTokens: number,
    promptTokens: number,
    evict: boolean,
  ): Promise<CachePrefill> {
    this.#promptTokens = promptTokens;
    const tokens = this.#tokens + newTokens;
    const plan = this.#makePlan(tokens, newTokens, evict);
    if (plan.evicts) await this.#savePoints();
    const { windowSize } = this.options;
    const scratch = await this.#allocateScratch(plan);
    const hasStats = this.#compressor.usesWindow && newTokens >= windowSize;
    const { stagedKeys: keys, stagedValues: values } = scratch;
    const staged = { keys, values, offset: 0, stride: newTokens, rows: newTokens };
    let replaced: Replaced | undefined;
    return {
      staged: () => staged,
      keptRows: (layer) => longest(this.#heads(layer)),
      track: (layer) => ({
        ...this.#tracking(layer),
        from: Math.max(newTokens - windowSize, 0),
      }),
      stats: hasStats ? { buffer: scratch.stats, from: newTokens - windowSize } : undefined,
      takeLayer: async (list, layer) => {
        const added = { newTokens, tokens, hasStats };
        replaced = await this.#compressLayer(list, layer, plan, scratch, added);
      },
      layerSubmitted: () => {
        if (replaced !== undefined) this.#replaced(replaced, newTokens, plan);
        replaced = undefined;
      },
      end: async () => {
        this.#compressor.release(scratch);
        await this.#compressed(tokens, plan);
      },
      cancel: () => {
        if (replaced !== undefined) this.#putBack(replaced);
        this.#compressor.release(scratch);
      },
    };
  }

  async makeRoom(tokens: number): Promise<void> {
    this.settle(tokens);
    const plan = this.#makePlan(tokens, 0, true);
    if (plan.evicts) await this.#savePoints();
    const scratch = await this.#allocateScratch(plan);
    const recorder = new Recorder(
      this.#gpu.device,
      this.#gpu.buffers,
      LAYER_DISPATCHES,
      "compression",
    );
    for (let layer = 0; layer < this.shape.numLayers; layer++) {
      const added = { newTokens: 0, tokens, hasStats: false };
      const replaced = await this.#compressLayer(recorder, layer, plan, scratch, added);
      recorder.submit();
      this.#free(replaced.region);
    }
    recorder.destroy();
    this.#compressor.release(scratch);
    await this.#compressed(tokens, plan);
  }

  settle(tokens: number): void {
    const added = tokens - this.#tokens;
    this.#tokens = tokens;
    this.#setLengths((_, length) => length + added);
  }

  async restorePoint(): Promise<SavedPoint> {
    const buffer = this.#queries;
    const [queries] = await readBack(this.#gpu, [{ buffer, bytes: buffer.size }]);
    const lengths = this.#entries.map(([, length]) => length);
    const point = new SavedPoint(this.#tokens, lengths, queries as Uint8Array, (released) =>
      this.#points.delete(released),
    );
    this.#points.add(point);
    return point;
  }

  async restore(point: SavedPoint): Promise<void> {
    if (point.tokens === 0) return this.clear();
    if (point.rows !== undefined) this.#load(point.rows);
    this.#gpu.device.queue.writeBuffer(this.#queries, 0, exact(point.queries));
    this.#tokens = point.tokens;
    this.#setLengths((entry) => point.lengths[entry] as number);
  }

  async keptPositions(layer: number): Promise<number[][]> {
    const { positions } = this.region(layer);
    const [bytes] = await readBack(this.#gpu, [{ buffer: positions, bytes: positions.size }]);
    const all = new Uint32Array(exact(bytes as Uint8Array).buffer);
    return this.#heads(layer).map(([offset, length]) => [...all.subarray(offset, offset + length)]);
  }

  clear(): void {
    this.#regions.forEach((region, layer) => {
      this.#free(region);
      this.#regions[layer] = undefined;
    });
    this.#tokens = 0;
    this.#promptTokens = 0;
    this.#plan = undefined;
    this.#mass = [];
    this.#entries = Array.from(
      { length: this.shape.numLayers * this.shape.numKvHeads },
      () => NO_ROWS,
    );
    this.#setLengths(() => 0);
  }

  destroy(): void {
    this.clear();
    for (const buffer of [this.table, this.#queries, this.#keptMass]) {
      this.#gpu.buffers.destroy(buffer);
    }
  }

  #tracking(layer: number): RowTracking {
    const { windowSize } = this.options;
    return { queries: this.#queries, layer, windowSize, from: 0 };
  }

  #makePlan(tokens: number, newTokens: number, evict: boolean): CachePlan {
    const { numKvHeads } = this.shape;
    const mean = (layer: number, value: (entry: TableEntry) => number): number =>
      this.#heads(layer).reduce((sum, entry) => sum + value(entry), 0) / numKvHeads;
    const layers = this.#regions.map((_, layer) => layer);
    return planCache(this.shape, this.options, {
      promptTokens: this.#promptTokens,
      tokens,
      newTokens,
      lengths: layers.map((layer) => mean(layer, ([, length]) => length)),
      capacities: layers.map((layer) => mean(layer, ([, , capacity]) => capacity)),
      longest: longest(this.#entries),
      evict,
    });
  }

  #allocateScratch(plan: CachePlan): Promise<Scratch> {
    return this.#gpu.allocating("rows to compress", plan.bytes.peak, () =>
      this.#compressor.allocate(plan.scratch),
    );
  }

  async #compressLayer(
    list: DispatchList,
    layer: number,
    plan: CachePlan,
    scratch: Scratch,
    added: { readonly newTokens: number; readonly tokens: number; readonly hasStats: boolean },
  ): Promise<Replaced> {
    const from = this.#regions[layer];
    const heads = this.#heads(layer);
    const rows = plan.rows[layer] as number;
    const to = await this.#gpu.allocating(`rows of layer ${layer}`, plan.bytes.final, () =>
      this.#allocate(layer, plan.capacities[layer] as number),
    );
    this.#compressor.record(list, scratch, {
      ...added,
      layer,
      table: this.table,
      from,
      to,
      rows,
      firstPosition: this.#tokens,
      candidates: longest(heads) + added.newTokens,
      spareRows: plan.spareRows,
      evicts: plan.evicts && rows < (heads[0] as TableEntry)[1] + added.newTokens,
      queries: this.#queries,
      keptMass: this.#keptMass,
    });
    this.#regions[layer] = to;
    return { layer, region: from };
  }

  /**
   * A layer's new rows are submitted. Where nothing is evicted the host can tell how they lie, and
   * the rows that there were are still the first ones: restore points stay lengths.
   */
  #replaced({ layer, region }: Replaced, newTokens: number, { spareRows }: CachePlan): void {
    this.#free(region);
    let offset = 0;
    this.#heads(layer).forEach(([, length], head) => {
      const capacity = length + newTokens + spareRows;
      this.#entries[layer * this.shape.numKvHeads + head] = [offset, length, capacity];
      offset += capacity;
    });
  }

  /** What the GPU made of the table, and the attention mass that is kept. */
  async #compressed(tokens: number, plan: CachePlan): Promise<void> {
    const [table, mass] = await readBack(this.#gpu, [
      { buffer: this.table, bytes: tableBytes(this.shape) },
      { buffer: this.#keptMass, bytes: keptMassBytes(this.shape) },
    ]);
    const words = new Uint32Array(exact(table as Uint8Array).buffer);
    this.#tokens = tokens;
    this.#plan = plan;
    this.#mass = [...new Float32Array(exact(mass as Uint8Array).buffer)];
    this.#entries = this.#entries.map((_, entry) => tableEntry(words, entry));
    this.#regions.forEach((region, layer) => {
      const capacity = Math.max(...this.#heads(layer).map(([, , rows]) => rows));
      this.#regions[layer] = { ...(region as Region), capacity };
    });
  }

  /** Move the rows of restore points to host memory: an eviction is about to end them. */
  async #savePoints(): Promise<void> {
    const waiting = [...this.#points].filter(({ tokens, rows }) => tokens > 0 && !rows);
    if (waiting.length === 0) return;
    const rows = await saveRows(this.#gpu, this.#regions as Region[], this.#entries);
    for (const point of waiting) point.save(rows);
  }

  #load({ layers, entries }: SavedRows): void {
    const { queue } = this.#gpu.device;
    this.#entries = [...entries];
    layers.forEach(({ keys, values, positions }, layer) => {
      this.#free(this.#regions[layer]);
      const capacity = positions.byteLength / 4 / this.shape.numKvHeads;
      const region = this.#allocate(layer, capacity);
      queue.writeBuffer(region.keys, 0, exact(keys));
      queue.writeBuffer(region.values, 0, exact(values));
      queue.writeBuffer(region.positions, 0, exact(positions));
      const most = Math.max(...this.#heads(layer).map(([, , rows]) => rows));
      this.#regions[layer] = { ...region, capacity: most };
    });
  }

  #putBack({ layer, region }: Replaced): void {
    this.#free(this.#regions[layer]);
    this.#regions[layer] = region;
  }

  #heads(layer: number): TableEntry[] {
    const { numKvHeads } = this.shape;
    return this.#entries.slice(layer * numKvHeads, (layer + 1) * numKvHeads);
  }

  #setLengths(lengthOf: (entry: number, length: number) => number): void {
    this.#entries = this.#entries.map(([offset, length, capacity], entry) => [
      offset,
      lengthOf(entry, length),
      capacity,
    ]);
    writeTable(this.#gpu.device, this.table, this.#entries.length, (entry) => {
      return this.#entries[entry] as TableEntry;
    });
  }

  /** A layer's buffers; `capacity` is the mean over the heads. */
  #allocate(layer: number, capacity: number): Region {
    const rows = capacity * this.shape.numKvHeads;
    const bytes = rows * kvRowBytes(this.shape);
    return {
      keys: this.#create(`layer ${layer} keys`, bytes, layer),
      values: this.#create(`layer ${layer} values`, bytes, layer),
      positions: this.#create(`layer ${layer} positions`, rows * 4, layer),
      capacity,
    };
  }

  #free(region: Region | undefined): void {
    if (region === undefined) return;
    for (const buffer of [region.keys, region.values, region.positions]) {
      this.#gpu.buffers.destroy(buffer);
    }
  }

  #create(label: string, bytes: number, layer?: number): GPUBuffer {
    const { STORAGE, COPY_SRC, COPY_DST } = GPUBufferUsage;
    const spec = { label, purpose: "kv", bytes, usage: STORAGE | COPY_SRC | COPY_DST } as const;
    return this.#gpu.buffers.create(layer === undefined ? spec : { ...spec, layer });
  }
}

function longest(heads: readonly TableEntry[]): number {
  return Math.max(...heads.map(([, length]) => length));
}

function rowsOf({ positions }: Region): number {
  return positions.size / 4;
}

/** The same bytes in a buffer of their own, as `writeBuffer` and views of words want them. */
function exact(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return new Uint8Array(bytes);
}
