import { GpuOutOfMemoryError } from "../errors.ts";
import type { GpuContext } from "../gpu/device.ts";
import { Compression } from "./compression.ts";
import type { Compressor } from "./compressor.ts";
import type {
  CachePrefill,
  HeadRows,
  KvCache,
  LayerRegion,
  LayerRows,
  RowTracking,
} from "./kv-cache.ts";
import {
  compressedRowBytes,
  keptMassBytes,
  type KvShape,
  queryRingBytes,
  tableBytes,
} from "./layout.ts";
import type { ResolvedCacheOptions } from "./options.ts";
import { readBack } from "./read-back.ts";
import { RowStore } from "./row-store.ts";
import { type CacheState, NOTHING_SEEN, SavedPoint } from "./saved-point.ts";
import { type CachePlan, planCache } from "./scheduler.ts";
import type { TableEntry } from "./table.ts";

/**
 * A cache that keeps what its policy ranks highest. A prefill stages one layer at a time and
 * compresses it into rows that are allocated to measure; decode appends to spare rows, and the
 * cache is compressed again when they are used up. No buffer of a full cache's size ever exists.
 */
export class CompressedCache implements KvCache {
  readonly shape: KvShape;
  readonly options: ResolvedCacheOptions;
  readonly #gpu: GpuContext;
  readonly #compressor: Compressor;
  readonly #rows: RowStore;
  readonly #queries: GPUBuffer;
  readonly #keptMass: GPUBuffer;
  #state = NOTHING_SEEN;
  /** A prefill in work: what is planned, and for how many layers it is done. */
  #prefill: { readonly plan: CachePlan; readonly newTokens: number; layers: number } | undefined;
  /** Restore points in use; their rows are saved before they go. */
  readonly #points = new Set<SavedPoint>();

  constructor(
    gpu: GpuContext,
    shape: KvShape,
    options: ResolvedCacheOptions,
    compressor: Compressor,
  ) {
    const { STORAGE, COPY_SRC, COPY_DST } = GPUBufferUsage;
    const usage = STORAGE | COPY_SRC | COPY_DST;
    const create = (label: string, bytes: number): GPUBuffer =>
      gpu.buffers.create({ label, purpose: "kv", bytes, usage });
    this.shape = shape;
    this.options = options;
    this.#gpu = gpu;
    this.#compressor = compressor;
    this.#rows = new RowStore(gpu, shape);
    this.#queries = create("window queries", queryRingBytes(shape, options.windowSize));
    this.#keptMass = create("kept attention mass", keptMassBytes(shape));
  }

  get table(): GPUBuffer {
    return this.#rows.table;
  }

  get tokens(): number {
    return this.#state.tokens;
  }

  get fullTokens(): number {
    const { tokens, mostTokens } = this.#state;
    return Math.max(mostTokens, tokens + (this.#prefill?.newTokens ?? 0));
  }

  get plan(): CachePlan | undefined {
    return this.#state.plan;
  }

  get hostBytes(): number {
    const points = [...this.#points];
    const saved = new Set(points.flatMap(({ rows }) => rows ?? []));
    const queries = points.reduce((sum, point) => sum + point.queries.byteLength, 0);
    return queries + [...saved].reduce((sum, { bytes }) => sum + bytes, 0);
  }

  region(layer: number): Required<LayerRegion> {
    const buffers = this.#rows.buffers(layer);
    if (buffers === undefined) throw new Error(`the cache has no rows for layer ${layer}`);
    return { ...buffers, capacity: most(this.#rows.heads(layer), ([, , capacity]) => capacity) };
  }

  layers(): LayerRows[] {
    const { numLayers, numKvHeads } = this.shape;
    const { plan, mass } = this.#state;
    const rowBytes = compressedRowBytes(this.shape);
    const splits = plan?.evicts === true && this.options.policy.heads === "adaptive";
    const isMeasured = this.#compressor.usesWindow || plan?.evicts !== true;
    return Array.from({ length: numLayers }, (_, layer) => {
      const bytes = this.#rows.rows(layer) * rowBytes;
      const { plan: planned, layers = 0 } = this.#prefill ?? {};
      if (planned !== undefined && layer < layers) {
        // The GPU's table is read when all layers are done.
        const [budget, length, capacity] = [planned.budgets, planned.rows, planned.capacities].map(
          (rows) => rows[layer] as number,
        ) as [number, number, number];
        const head = { budget, length, capacity, bytes: capacity * rowBytes };
        const heads = Array.from({ length: numKvHeads }, (): HeadRows => head);
        return { ...head, bytes, heads, keptMass: [] };
      }
      const heads = this.#rows.heads(layer);
      const budget = plan?.budgets[layer];
      return {
        budget,
        length: most(heads, ([, length]) => length),
        capacity: most(heads, ([, , capacity]) => capacity),
        bytes,
        heads: heads.map(([, length, capacity]): HeadRows => {
          const share = splits ? capacity - plan.spareRows : budget;
          return { budget: share, length, capacity, bytes: capacity * rowBytes };
        }),
        keptMass: isMeasured ? heads.map((_head, h) => mass[layer * numKvHeads + h] ?? 1) : [],
      };
    });
  }

  track(layer: number): RowTracking {
    const { positions } = this.region(layer);
    return { ...this.#tracking(layer), positions };
  }

  room(): number {
    return Math.min(...this.#rows.entries.map(([, length, capacity]) => capacity - length));
  }

  async beginPrefill(
    newTokens: number,
    promptTokens: number,
    evict: boolean,
  ): Promise<CachePrefill> {
    const { windowSize } = this.options;
    const run = await this.#beginCompression(newTokens, promptTokens, evict);
    const { stagedKeys: keys, stagedValues: values, stats } = run.scratch;
    const staged = { keys, values, offset: 0, stride: newTokens, rows: newTokens };
    const progress = { plan: run.plan, newTokens, layers: 0 };
    this.#prefill = progress;
    const from = newTokens - windowSize;
    return {
      staged: () => staged,
      keptRows: (layer) => most(this.#rows.heads(layer), ([, length]) => length),
      track: (layer) => ({ ...this.#tracking(layer), from: Math.max(from, 0) }),
      stats: run.hasStats ? { buffer: stats, from } : undefined,
      takeLayer: (list, layer) => run.record(list, layer),
      layerSubmitted: () => {
        run.submitted();
        progress.layers++;
      },
      end: async () => {
        await this.#endCompression(run, promptTokens);
        this.#prefill = undefined;
      },
      cancel: () => {
        this.#prefill = undefined;
        run.cancel();
      },
    };
  }

  async makeRoom(tokens: number): Promise<void> {
    this.settle(tokens);
    const { promptTokens } = this.#state;
    const run = await this.#beginCompression(0, promptTokens, true);
    try {
      await run.recordAll();
      await this.#endCompression(run, promptTokens);
    } catch (error) {
      run.cancel();
      throw error;
    }
  }

  settle(tokens: number, overran = false): void {
    const added = tokens - this.#state.tokens;
    const mostTokens = Math.max(this.#state.mostTokens, tokens);
    // Rows that are dropped have left their queries in the ring, in the place of older ones.
    const queriesEnd = overran ? Infinity : tokens;
    this.#state = { ...this.#state, tokens, mostTokens, queriesEnd };
    this.#rows.setLengths((_, length) => length + added);
  }

  /**
   * The prompt's last `windowSize` queries rank its rows. Those that the ring has lost have to be
   * computed again with it.
   */
  cutPoint(tokens: number, promptTokens: number): number {
    const { wholeFrom, queriesEnd } = this.#state;
    const ringHasAll = promptTokens >= queriesEnd;
    const last = promptTokens - (ringHasAll ? 1 : Math.max(this.options.windowSize, 1));
    const point = Math.min(tokens, last);
    return point >= wholeFrom && point > 0 ? point : 0;
  }

  async cut(tokens: number): Promise<void> {
    await this.#savePoints((point) => point.tokens > tokens);
    const dropped = this.#state.tokens - tokens;
    this.#state = { ...this.#state, tokens };
    this.#rows.setLengths((_, length) => length - dropped);
  }

  async restorePoint(): Promise<SavedPoint> {
    // Until something is evicted, lost queries can be computed again: see cutPoint.
    const hasQueries = this.#compressor.usesWindow && this.#state.wholeFrom > 0;
    const bytes = hasQueries ? this.#queries.size : 0;
    const [queries] = await readBack(this.#gpu, [{ buffer: this.#queries, bytes }]);
    const point = new SavedPoint(
      this.#state,
      this.#rows.entries,
      queries as Uint8Array<ArrayBuffer>,
      (released) => this.#points.delete(released),
    );
    this.#points.add(point);
    return point;
  }

  async restore(point: SavedPoint | undefined): Promise<void> {
    const isInCache = point !== undefined && point.rows === undefined;
    await this.#savePoints(({ tokens }) => !isInCache || tokens > point.tokens);
    if (point === undefined || point.tokens === 0) return this.clear();
    try {
      await this.#layAs(point);
    } catch (error) {
      this.clear();
      throw error;
    }
    const { state, queries } = point;
    const hasQueries = queries.length > 0;
    if (hasQueries) this.#gpu.device.queue.writeBuffer(this.#queries, 0, queries);
    this.#state = hasQueries ? state : { ...state, queriesEnd: Infinity };
    this.#rows.setLengths((index) => (point.entries[index] as TableEntry)[1]);
  }

  async keptPositions(layer: number): Promise<number[][]> {
    const buffer = this.#rows.buffers(layer)?.positions;
    if (buffer === undefined) return this.#rows.heads(layer).map(() => []);
    const [bytes] = await readBack(this.#gpu, [{ buffer, bytes: buffer.size }]);
    const all = words(bytes as Uint8Array<ArrayBuffer>, Uint32Array);
    const heads = this.#rows.heads(layer);
    return heads.map(([offset, length]) => [...all.subarray(offset, offset + length)]);
  }

  clear(): void {
    this.#state = NOTHING_SEEN;
    this.#rows.clear();
  }

  destroy(): void {
    this.#rows.destroy();
    for (const buffer of [this.#queries, this.#keptMass]) this.#gpu.buffers.destroy(buffer);
  }

  #tracking(layer: number): RowTracking {
    const { windowSize } = this.options;
    return { queries: this.#queries, layer, windowSize, from: 0 };
  }

  async #beginCompression(
    newTokens: number,
    promptTokens: number,
    evict: boolean,
  ): Promise<Compression> {
    const plan = this.#makePlan(newTokens, promptTokens, evict);
    if (plan.evicts) await this.#savePoints(() => true);
    const scratch = await this.#gpu.allocating("rows to compress", plan.bytes.peak, () =>
      this.#compressor.allocate(plan.scratch),
    );
    return new Compression(this.#gpu, this.shape, this.#compressor, this.#rows, {
      plan,
      scratch,
      queries: this.#queries,
      keptMass: this.#keptMass,
      windowSize: this.options.windowSize,
      seenTokens: this.#state.tokens,
      newTokens,
    });
  }

  #makePlan(newTokens: number, promptTokens: number, evict: boolean): CachePlan {
    const { numLayers, numKvHeads } = this.shape;
    const layers = Array.from({ length: numLayers }, (_, layer) => layer);
    const lengths = layers.map((layer) =>
      this.#rows.heads(layer).reduce((sum, [, length]) => sum + length, 0),
    );
    return planCache(this.shape, this.options, {
      promptTokens,
      tokens: this.#state.tokens + newTokens,
      newTokens,
      lengths: lengths.map((sum) => sum / numKvHeads),
      capacities: layers.map((layer) => this.#rows.rows(layer) / numKvHeads),
      longest: most(this.#rows.entries, ([, length]) => length),
      evict,
    });
  }

  /** Read what the GPU made of the table, and the attention mass that is kept. */
  async #endCompression(run: Compression, promptTokens: number): Promise<void> {
    run.release();
    const [table, mass] = (await readBack(this.#gpu, [
      { buffer: this.table, bytes: tableBytes(this.shape) },
      { buffer: this.#keptMass, bytes: keptMassBytes(this.shape) },
    ])) as [Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>];
    this.#rows.readTable(words(table, Uint32Array));
    const { plan, tokens } = run;
    const { mostTokens, wholeFrom } = this.#state;
    this.#state = {
      tokens,
      mostTokens: Math.max(mostTokens, tokens),
      promptTokens,
      plan,
      mass: [...words(mass, Float32Array)],
      // The window is never evicted: each head's last rows are the last tokens.
      wholeFrom: plan.evicts ? tokens - this.options.windowSize : wholeFrom,
      queriesEnd: tokens,
    } satisfies CacheState;
  }

  /** Move the rows of points to host memory: they are about to go. */
  async #savePoints(lose: (point: SavedPoint) => boolean): Promise<void> {
    const losing = [...this.#points].filter(
      (point) => point.tokens > 0 && point.rows === undefined && lose(point),
    );
    if (losing.length === 0) return;
    const rows = await this.#rows.save();
    for (const point of losing) point.save(rows);
  }

  /** Lay all rows out as they were at a point, so that room runs out when it did then. */
  async #layAs({ entries, rows }: SavedPoint): Promise<void> {
    const { numLayers, numKvHeads } = this.shape;
    for (let layer = 0; layer < numLayers; layer++) {
      const heads = entries.slice(layer * numKvHeads, (layer + 1) * numKvHeads);
      try {
        await this.#rows.lay(layer, heads, rows);
      } catch (error) {
        // Rows that are on the GPU may as well stay in buffers that are larger than they were.
        if (rows !== undefined || !(error instanceof GpuOutOfMemoryError)) throw error;
      }
    }
  }
}

function most(heads: readonly TableEntry[], value: (entry: TableEntry) => number): number {
  return Math.max(...heads.map(value));
}

/** Bytes as 32-bit words, in memory of their own: views need their alignment. */
function words<T>(bytes: Uint8Array<ArrayBuffer>, view: new (buffer: ArrayBuffer) => T): T {
  return new view(bytes.slice().buffer);
}
