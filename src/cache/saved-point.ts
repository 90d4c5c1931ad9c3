import type { CacheState } from "./cache-state.ts";
import type { RestorePoint } from "./kv-cache.ts";
import type { SavedRows } from "./row-store.ts";
import type { TableEntry } from "./table.ts";

/**
 * A restore point of a compressed cache. While its rows are still there it holds only lengths (and,
 * once something is evicted, the window queries): rows are appended after its own and never change
 * order. The rows move to host memory just before they go.
 */
export class SavedPoint implements RestorePoint {
  readonly state: CacheState;
  /** Where its rows lay. */
  readonly entries: readonly TableEntry[];
  /** The query ring, which later tokens overwrite; empty where nothing is evicted. */
  readonly queries: Uint8Array<ArrayBuffer>;
  #rows: SavedRows | undefined;
  readonly #onRelease: (point: SavedPoint) => void;

  constructor(
    state: CacheState,
    entries: readonly TableEntry[],
    queries: Uint8Array<ArrayBuffer>,
    onRelease: (point: SavedPoint) => void,
  ) {
    this.state = state;
    this.entries = entries;
    this.queries = queries;
    this.#onRelease = onRelease;
  }

  get tokens(): number {
    return this.state.tokens;
  }

  /** The rows, or more; undefined while they are in the cache. */
  get rows(): SavedRows | undefined {
    return this.#rows;
  }

  get hostBytes(): number {
    return this.queries.byteLength + (this.#rows?.bytes ?? 0);
  }

  /** Keep these rows; points of one conversation share them. */
  save(rows: SavedRows): void {
    this.#rows ??= rows;
  }

  release(): void {
    this.#rows = undefined;
    this.#onRelease(this);
  }
}
