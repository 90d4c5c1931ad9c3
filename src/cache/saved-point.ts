import type { GpuContext } from "../gpu/device.ts";
import type { RestorePoint } from "./kv-cache.ts";
import { readBack } from "./read-back.ts";
import type { TableEntry } from "./table.ts";

/** Rows of all layers in host memory, as they lay on the GPU. */
export interface SavedRows {
  readonly layers: readonly {
    readonly keys: Uint8Array;
    readonly values: Uint8Array;
    readonly positions: Uint8Array;
  }[];
  readonly entries: readonly TableEntry[];
  readonly bytes: number;
}

/** A layer's buffers. */
interface RegionBuffers {
  readonly keys: GPUBuffer;
  readonly values: GPUBuffer;
  readonly positions: GPUBuffer;
}

/**
 * A restore point of a compressed cache. While nothing has been evicted since, it is only lengths:
 * rows are appended after its own and never change order. Its rows move to host memory just before
 * the first eviction.
 */
export class SavedPoint implements RestorePoint {
  readonly tokens: number;
  /** Rows in use per table entry. */
  readonly lengths: readonly number[];
  /** The query ring, which later tokens overwrite. */
  readonly queries: Uint8Array;
  #rows: SavedRows | undefined;
  readonly #onRelease: (point: SavedPoint) => void;

  constructor(
    tokens: number,
    lengths: readonly number[],
    queries: Uint8Array,
    onRelease: (point: SavedPoint) => void,
  ) {
    this.tokens = tokens;
    this.lengths = lengths;
    this.queries = queries;
    this.#onRelease = onRelease;
  }

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

/** Copy all rows to host memory. */
export async function saveRows(
  gpu: GpuContext,
  regions: readonly RegionBuffers[],
  entries: readonly TableEntry[],
): Promise<SavedRows> {
  const layers: SavedRows["layers"][number][] = [];
  let bytes = 0;
  for (const { keys, values, positions } of regions) {
    const ranges = [keys, values, positions].map((buffer) => ({ buffer, bytes: buffer.size }));
    const [k, v, p] = (await readBack(gpu, ranges)) as [Uint8Array, Uint8Array, Uint8Array];
    layers.push({ keys: k, values: v, positions: p });
    bytes += k.byteLength + v.byteLength + p.byteLength;
  }
  return { layers, entries, bytes };
}
