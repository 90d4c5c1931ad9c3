import { GpuOutOfMemoryError, ModuleLoadError } from "../errors.ts";
import { onDemand } from "../on-demand.ts";
import type { CacheImage } from "./cache-image.ts";
import { NOTHING_SEEN } from "./cache-state.ts";
import { FullRows } from "./full-rows.ts";
import type * as hostRowsModule from "./host-rows.ts";
import type { HostRows, RowRange } from "./host-rows.ts";
import type {
  CachePrefill,
  HeadRows,
  KvCache,
  LayerRegion,
  LayerRows,
  RestorePoint,
} from "./kv-cache.ts";
import { type KvShape, kvRowBytes } from "./layout.ts";
import type { ResolvedCacheOptions } from "./options.ts";
import type { RowsGpu } from "./read-back.ts";
import { type CachePlan, planCache } from "./scheduler.ts";

/** Most bytes of dropped rows that are kept in host memory: who goes back beyond that reads again. */
const MAX_HOST_BYTES = 256 * 2 ** 20;

const hostRows = (): Promise<typeof hostRowsModule> =>
  onDemand("copying a cache's rows", () => import("./host-rows.ts"));

/** A restore point: the first rows of the cache. */
interface FullPoint extends RestorePoint {
  /** Tokens whose rows are still there: later ones were dropped, and others may have come. */
  whole: number;
  /** The rows after those, in order, as far as they could be kept: all of them, or none. */
  dropped: readonly HostRows[];
  readonly capacity: number;
  readonly plan: CachePlan | undefined;
}

/**
 * Policy `full`: every row stays. Its regions grow by whole granules, and a prefill writes its rows
 * right where they stay.
 */
export class FullCache implements KvCache {
  readonly shape: KvShape;
  readonly options: ResolvedCacheOptions;
  readonly #gpu: RowsGpu;
  readonly #rows: FullRows;
  #tokens = 0;
  #plan: CachePlan | undefined;
  readonly #points = new Set<FullPoint>();

  constructor(gpu: RowsGpu, shape: KvShape, options: ResolvedCacheOptions) {
    this.shape = shape;
    this.options = options;
    this.#gpu = gpu;
    this.#rows = new FullRows(gpu, shape);
  }

  get table(): GPUBuffer {
    return this.#rows.table;
  }

  get tokens(): number {
    return this.#tokens;
  }

  get fullTokens(): number {
    return Math.max(this.#tokens, this.#rows.mostCapacity);
  }

  /** Restore points are only lengths, until rows of theirs are dropped. */
  get hostBytes(): number {
    return bytesOf([...this.#points].flatMap(({ dropped }) => dropped));
  }

  get plan(): CachePlan | undefined {
    return this.#plan;
  }

  region(layer: number): LayerRegion {
    const region = this.#rows.region(layer);
    if (region === undefined) throw new Error(`the cache has no rows for layer ${layer}`);
    return region;
  }

  layers(): LayerRows[] {
    const { numLayers, numKvHeads } = this.shape;
    const keptMass = Array<number>(numKvHeads).fill(1);
    return Array.from({ length: numLayers }, (_, layer) => {
      const capacity = this.#rows.region(layer)?.capacity ?? 0;
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
    return this.#rows.capacity - this.#tokens;
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
    this.#rows.writeTable(tokens);
  }

  cutPoint(tokens: number, promptTokens: number): number {
    return Math.min(tokens, promptTokens - 1);
  }

  async cut(tokens: number): Promise<void> {
    const losing = [...this.#points].filter(({ whole }) => whole > tokens);
    const to = Math.max(0, ...losing.map(({ whole }) => whole));
    const rows = await this.#takeRows({ from: tokens, to });
    for (const point of losing) {
      point.whole = tokens;
      point.dropped = rows === undefined ? [] : [rows, ...point.dropped];
    }
    this.settle(tokens);
  }

  async restorePoint(): Promise<FullPoint> {
    const tokens = this.#tokens;
    const point: FullPoint = {
      tokens,
      whole: tokens,
      dropped: [],
      capacity: this.#rows.capacity,
      plan: this.#plan,
      get hostBytes() {
        return bytesOf(point.dropped);
      },
      release: () => void this.#points.delete(point),
    };
    this.#points.add(point);
    return point;
  }

  async restore(point: FullPoint | undefined): Promise<void> {
    await this.cut(point?.whole ?? 0);
    if (point === undefined) return this.clear();
    if (point.dropped.length > 0) return this.#putBack(point);
    if (point.whole === 0) return this.clear();
    this.#plan = point.plan;
    try {
      const capacity = Math.min(point.capacity, this.#rows.capacity);
      await this.#rows.resize(capacity, this.#tokens, this.#tokens);
    } catch (error) {
      // Rows may as well stay in buffers that are larger than they were.
      if (!(error instanceof GpuOutOfMemoryError)) throw error;
    }
  }

  image(): CacheImage {
    const { numLayers, numKvHeads } = this.shape;
    const tokens = this.#tokens;
    return {
      state: { ...NOTHING_SEEN, tokens, mostTokens: tokens, plan: this.#plan },
      heads: Array.from({ length: numLayers * numKvHeads }, () => [tokens, this.#rows.capacity]),
      queries: async () => new Uint8Array(),
      layer: async (layer) => {
        const { readRows } = await hostRows();
        return readRows(this.#gpu, this.shape, this.region(layer), { from: 0, to: tokens });
      },
    };
  }

  async load(image: CacheImage): Promise<void> {
    await this.restore(undefined);
    const { writeRows } = await hostRows();
    const { tokens, plan } = image.state;
    const [, capacity] = image.heads[0] as CacheImage["heads"][number];
    try {
      await this.#rows.resize(capacity, 0, tokens);
      this.settle(tokens);
      for (let layer = 0; layer < this.shape.numLayers; layer++) {
        const bytes = await image.layer(layer);
        const all = { from: 0, to: tokens };
        writeRows(this.#gpu, this.shape, this.region(layer), all, bytes);
      }
    } catch (error) {
      this.clear();
      throw error;
    }
    this.#plan = plan;
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
    this.#rows.clear();
  }

  destroy(): void {
    this.#rows.destroy();
  }

  /** Rows that points are about to lose; undefined where there are too many, or none. */
  async #takeRows(range: RowRange): Promise<HostRows | undefined> {
    const bytes = (range.to - range.from) * this.#bytesPerToken;
    if (bytes <= 0 || this.hostBytes + bytes > MAX_HOST_BYTES) return undefined;
    try {
      const { readRows } = await hostRows();
      const layers: Uint8Array<ArrayBuffer>[] = [];
      for (let layer = 0; layer < this.shape.numLayers; layer++) {
        layers.push(await readRows(this.#gpu, this.shape, this.region(layer), range));
      }
      return { ...range, layers };
    } catch (error) {
      // Without room, or a network for what copies them: who goes back there reads them again.
      const isKnown = error instanceof GpuOutOfMemoryError || error instanceof ModuleLoadError;
      if (!isKnown) throw error;
      return undefined;
    }
  }

  /** Return to a point whose last rows lie in host memory. */
  async #putBack({ tokens, capacity, plan, dropped }: FullPoint): Promise<void> {
    const { writeRows } = await hostRows();
    await this.#rows.resize(capacity, this.#tokens, tokens);
    for (const { layers, ...range } of dropped) {
      for (const [layer, bytes] of layers.entries()) {
        writeRows(this.#gpu, this.shape, this.region(layer), range, bytes, tokens);
      }
    }
    // Earlier points of the same conversation lost the same rows.
    for (const other of this.#points) {
      if (other.tokens > tokens || !other.dropped.some((rows) => dropped.includes(rows))) continue;
      other.whole = other.tokens;
      other.dropped = [];
    }
    this.#plan = plan;
    this.settle(tokens);
  }

  get #bytesPerToken(): number {
    const { numLayers, numKvHeads } = this.shape;
    return 2 * numLayers * numKvHeads * kvRowBytes(this.shape);
  }

  /** @throws GpuOutOfMemoryError, and the cache holds what it held. */
  async #reserve(tokens: number, newTokens: number, promptTokens: number): Promise<void> {
    const { numLayers } = this.shape;
    const plan = planCache(this.shape, this.options, {
      promptTokens,
      tokens,
      newTokens,
      lengths: Array<number>(numLayers).fill(this.#tokens),
      capacities: Array<number>(numLayers).fill(this.#rows.capacity),
      longest: this.#tokens,
      evict: false,
    });
    await this.#rows.resize(plan.capacities[0] as number, this.#tokens, tokens);
    this.#plan = plan;
  }
}

/** Rows that points share count once. */
function bytesOf(rows: readonly HostRows[]): number {
  const layers = [...new Set(rows)].flatMap((one) => one.layers);
  return layers.reduce((sum, { byteLength }) => sum + byteLength, 0);
}
