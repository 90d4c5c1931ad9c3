import { GpuOutOfMemoryError } from "../errors.ts";
import type { CacheState } from "./cache-state.ts";
import type { KvShape } from "./layout.ts";
import type { RowStore } from "./row-store.ts";
import { SavedPoint } from "./saved-point.ts";

/** The restore points of a compressed cache that are in use: their rows are saved before they go. */
export class RestorePoints {
  readonly #rows: RowStore;
  readonly #points = new Set<SavedPoint>();

  constructor(rows: RowStore) {
    this.#rows = rows;
  }

  /** Bytes of host memory that all points hold together: rows that they share count once. */
  get hostBytes(): number {
    const points = [...this.#points];
    const saved = new Set(points.flatMap(({ rows }) => rows ?? []));
    const queries = points.reduce((sum, point) => sum + point.queries.byteLength, 0);
    return queries + [...saved].reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** A point at the present rows. */
  add(state: CacheState, queries: Uint8Array<ArrayBuffer>): SavedPoint {
    const release = (point: SavedPoint): void => void this.#points.delete(point);
    const point = new SavedPoint(state, this.#rows.entries, queries, release);
    this.#points.add(point);
    return point;
  }

  /** Move the rows of the points that lose them to host memory: they are about to go. */
  async save(lose: (point: SavedPoint) => boolean): Promise<void> {
    const losing = [...this.#points].filter(
      (point) => point.tokens > 0 && point.rows === undefined && lose(point),
    );
    if (losing.length === 0) return;
    const rows = await this.#rows.save();
    for (const point of losing) point.save(rows);
  }

  /** Lay all rows out as they were at a point, so that room runs out when it did then. */
  async lay(shape: KvShape, { entries, rows }: SavedPoint): Promise<void> {
    const { numLayers, numKvHeads } = shape;
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
