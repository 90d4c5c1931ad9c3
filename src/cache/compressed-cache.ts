import type { GpuContext } from "../gpu/device.ts";
import { beginCompression } from "./begin-compression.ts";
import { type CacheImage, placeHeads, readLayer, writeLayer } from "./cache-image.ts";
import { compressed, cutPoint, NOTHING_SEEN, settled } from "./cache-state.ts";
import { CompressedPrefill } from "./compressed-prefill.ts";
import type { Compression, CompressionParts } from "./compression.ts";
import type { Compressor } from "./compressor.ts";
import type { CachePrefill, KvCache, LayerRegion, LayerRows, RowTracking } from "./kv-cache.ts";
import { KeptScores, type TokenScores } from "./kept-scores.ts";
import { keptLayerRows } from "./layer-rows.ts";
import { keptMassBytes, type KvShape, queryRingBytes, tableBytes } from "./layout.ts";
import type { ResolvedCacheOptions } from "./options.ts";
import { asWords, readBack } from "./read-back.ts";
import { RestorePoints } from "./restore-points.ts";
import { RowStore } from "./row-store.ts";
import type { SavedPoint } from "./saved-point.ts";
import type { CachePlan } from "./scheduler.ts";
import { mostCapacity, type TableEntry } from "./table.ts";

/**
 * A cache that keeps what its policy ranks highest. A prefill stages one layer at a time and
 * compresses it into rows that are allocated to measure; decode appends to spare rows, and the
 * cache is compressed again when they are used up. No buffer of a full cache's size ever exists.
 */
export class CompressedCache implements KvCache {
  readonly shape: KvShape;
  readonly options: ResolvedCacheOptions;
  readonly #gpu: GpuContext;
  readonly #rows: RowStore;
  readonly #parts: CompressionParts;
  readonly #points: RestorePoints;
  #state = NOTHING_SEEN;
  /** In work now. */
  #prefill: CompressedPrefill | undefined;

  constructor(
    gpu: GpuContext,
    shape: KvShape,
    options: ResolvedCacheOptions,
    compressor: Compressor,
    keepsScores: boolean = false,
  ) {
    const { STORAGE, COPY_SRC, COPY_DST } = GPUBufferUsage;
    const usage = STORAGE | COPY_SRC | COPY_DST;
    const create = (label: string, bytes: number): GPUBuffer =>
      gpu.buffers.create({ label, purpose: "kv", bytes, usage });
    const rows = new RowStore(gpu, shape);
    const queries = create("window queries", queryRingBytes(shape, options.windowSize));
    const keptMass = create("kept attention mass", keptMassBytes(shape));
    this.shape = shape;
    this.options = options;
    this.#gpu = gpu;
    this.#rows = rows;
    const isRanked = keepsScores && options.policy.scorer?.kind !== "recency";
    const scores = isRanked ? new KeptScores(gpu, shape) : undefined;
    this.#parts = { gpu, shape, options, compressor, rows, queries, keptMass, scores };
    this.#points = new RestorePoints(rows);
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
    return this.#points.hostBytes;
  }

  region(layer: number): Required<LayerRegion> {
    const buffers = this.#rows.buffers(layer);
    if (buffers === undefined) throw new Error(`the cache has no rows for layer ${layer}`);
    return { ...buffers, capacity: mostCapacity(this.#rows.heads(layer)) };
  }

  layers(): LayerRows[] {
    return Array.from(
      { length: this.shape.numLayers },
      (_, layer) => this.#prefill?.layer(layer) ?? keptLayerRows(this.#parts, this.#state, layer),
    );
  }

  track(layer: number): RowTracking {
    const { positions } = this.region(layer);
    const { queries, options } = this.#parts;
    return { queries, layer, windowSize: options.windowSize, from: 0, positions };
  }

  room(): number {
    return Math.min(...this.#rows.entries.map(([, length, capacity]) => capacity - length));
  }

  async beginPrefill(
    newTokens: number,
    promptTokens: number,
    evict: boolean,
  ): Promise<CachePrefill> {
    const run = await this.#begin(newTokens, promptTokens, evict);
    try {
      return (this.#prefill = await CompressedPrefill.create(run, this.#parts, {
        taken: () => this.#take(run, promptTokens, evict),
        closed: () => (this.#prefill = undefined),
      }));
    } catch (error) {
      run.cancel();
      throw error;
    }
  }

  async makeRoom(tokens: number): Promise<void> {
    this.settle(tokens);
    const { promptTokens } = this.#state;
    const run = await this.#begin(0, promptTokens, true);
    try {
      await run.recordAll();
      await this.#take(run, promptTokens, true);
    } catch (error) {
      run.cancel();
      throw error;
    }
  }

  settle(tokens: number, overran = false): void {
    const added = tokens - this.#state.tokens;
    this.#state = settled(this.#state, tokens, overran);
    this.#rows.setLengths((_, length) => length + added);
  }

  noteTokens(tokens: number): void {
    this.#state = { ...this.#state, mostTokens: Math.max(this.#state.mostTokens, tokens) };
  }

  cutPoint(tokens: number, promptTokens: number): number {
    return cutPoint(this.#state, this.options.windowSize, tokens, promptTokens);
  }

  async cut(tokens: number): Promise<void> {
    await this.#points.save((point) => point.tokens > tokens);
    this.#parts.scores?.cut(tokens);
    const dropped = this.#state.tokens - tokens;
    this.#state = { ...this.#state, tokens };
    this.#rows.setLengths((_, length) => length - dropped);
  }

  async restorePoint(): Promise<SavedPoint> {
    const { compressor, queries: buffer } = this.#parts;
    // Until something is evicted, lost queries can be computed again: see cutPoint.
    const hasQueries = compressor.usesWindow && this.#state.wholeFrom > 0;
    const [queries] = await readBack(this.#gpu, [{ buffer, bytes: hasQueries ? buffer.size : 0 }]);
    return this.#points.add(this.#state, queries as Uint8Array<ArrayBuffer>);
  }

  async restore(point: SavedPoint | undefined): Promise<void> {
    this.#parts.scores?.clear();
    const isInCache = point !== undefined && point.rows === undefined;
    await this.#points.save(({ tokens }) => !isInCache || tokens > point.tokens);
    if (point === undefined || point.tokens === 0) return this.clear();
    try {
      await this.#points.lay(this.shape, point);
    } catch (error) {
      this.clear();
      throw error;
    }
    const { state, queries } = point;
    const hasQueries = queries.length > 0;
    if (hasQueries) this.#gpu.device.queue.writeBuffer(this.#parts.queries, 0, queries);
    this.#state = hasQueries ? state : { ...state, queriesEnd: Infinity };
    this.#rows.setLengths((index) => (point.entries[index] as TableEntry)[1]);
  }

  image(): CacheImage {
    const { compressor, queries: buffer } = this.#parts;
    const bytes = compressor.usesWindow ? buffer.size : 0;
    return {
      state: this.#state,
      heads: this.#rows.entries.map(([, length, capacity]) => [length, capacity]),
      queries: async () => {
        const [queries] = await readBack(this.#gpu, [{ buffer, bytes }]);
        return queries as Uint8Array<ArrayBuffer>;
      },
      layer: (layer) =>
        readLayer(this.#gpu, this.shape, this.region(layer), this.#rows.heads(layer)),
    };
  }

  async load(image: CacheImage): Promise<void> {
    const { numLayers, numKvHeads } = this.shape;
    await this.restore(undefined);
    try {
      for (let layer = 0; layer < numLayers; layer++) {
        const first = layer * numKvHeads;
        const heads = placeHeads(image.heads.slice(first, first + numKvHeads));
        const bytes = await image.layer(layer);
        await this.#rows.lay(layer, heads);
        writeLayer(this.#gpu, this.shape, this.region(layer), heads, bytes);
      }
      this.#gpu.device.queue.writeBuffer(this.#parts.queries, 0, await image.queries());
    } catch (error) {
      this.clear();
      throw error;
    }
    this.#state = image.state;
    this.#rows.writeTable();
  }

  keptPositions(layer: number): Promise<number[][]> {
    return this.#rows.positions(layer);
  }

  async tokenScores(position: number): Promise<TokenScores | undefined> {
    return this.#parts.scores?.of(position);
  }

  clear(): void {
    this.#state = NOTHING_SEEN;
    this.#parts.scores?.clear();
    this.#rows.clear();
  }

  destroy(): void {
    const { queries, keptMass, scores } = this.#parts;
    scores?.clear();
    this.#rows.destroy();
    for (const buffer of [queries, keptMass]) this.#gpu.buffers.destroy(buffer);
  }

  #begin(newTokens: number, promptTokens: number, evict: boolean): Promise<Compression> {
    const request = { seenTokens: this.#state.tokens, newTokens, promptTokens, evict };
    return beginCompression(this.#parts, request, () => this.#points.save(() => true));
  }

  /** Read what the GPU made of the table, and the attention mass that is kept. */
  async #take(run: Compression, promptTokens: number, evict: boolean): Promise<void> {
    run.release();
    const [table, masses] = (await readBack(this.#gpu, [
      { buffer: this.table, bytes: tableBytes(this.shape) },
      { buffer: this.#parts.keptMass, bytes: keptMassBytes(this.shape) },
    ])) as [Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>];
    this.#rows.readTable(asWords(table, Uint32Array));
    const { windowSize } = this.options;
    const mass = [...asWords(masses, Float32Array)];
    this.#state = compressed(this.#state, run, { promptTokens, windowSize, mass, evict });
  }
}
