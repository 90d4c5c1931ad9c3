import type { GpuContext } from "../gpu/device.ts";
import { type KvShape, kvRowBytes } from "./layout.ts";
import { asWords, readBack } from "./read-back.ts";
import { createTable, type TableEntry, tableEntries, writeTable } from "./table.ts";

/** A layer's rows on the GPU, all heads in the same buffers. */
export interface RowBuffers {
  readonly keys: GPUBuffer;
  readonly values: GPUBuffer;
  /** Position of each row, u32. */
  readonly positions: GPUBuffer;
}

/** All rows in host memory, as they lay on the GPU. */
export interface SavedRows {
  readonly layers: readonly Readonly<Record<keyof RowBuffers, Uint8Array<ArrayBuffer>>>[];
  readonly entries: readonly TableEntry[];
  readonly bytes: number;
}

const KINDS = ["keys", "values", "positions"] as const;
const NO_ROWS: TableEntry = [0, 0, 0];

/**
 * The rows of a compressed cache: three buffers per layer, and the table that tells the kernels where
 * each head's rows are. The host's copy of the table lags behind by the rows that decode appends.
 */
export class RowStore {
  readonly table: GPUBuffer;
  readonly #gpu: GpuContext;
  readonly #shape: KvShape;
  readonly #layers: (RowBuffers | undefined)[];
  #entries: readonly TableEntry[] = [];

  constructor(gpu: GpuContext, shape: KvShape) {
    this.#gpu = gpu;
    this.#shape = shape;
    this.table = createTable(gpu, shape);
    this.#layers = Array<undefined>(shape.numLayers).fill(undefined);
    this.clear();
  }

  /** `[layer][head]` */
  get entries(): readonly TableEntry[] {
    return this.#entries;
  }

  buffers(layer: number): RowBuffers | undefined {
    return this.#layers[layer];
  }

  heads(layer: number): readonly TableEntry[] {
    const { numKvHeads } = this.#shape;
    return this.#entries.slice(layer * numKvHeads, (layer + 1) * numKvHeads);
  }

  /** Rows allocated for all heads of a layer together. */
  rows(layer: number): number {
    return (this.#layers[layer]?.positions.size ?? 0) / 4;
  }

  /** Buffers for `rows` rows of a layer, all heads together. */
  allocate(layer: number, rows: number): RowBuffers {
    const { STORAGE, COPY_SRC, COPY_DST } = GPUBufferUsage;
    const create = (kind: (typeof KINDS)[number]): GPUBuffer =>
      this.#gpu.buffers.create({
        label: `layer ${layer} ${kind}`,
        purpose: "kv",
        bytes: rows * this.#rowBytes(kind),
        usage: STORAGE | COPY_SRC | COPY_DST,
        layer,
      });
    return { keys: create("keys"), values: create("values"), positions: create("positions") };
  }

  /** Let a layer have these buffers; returns those that it had, which are the caller's to free. */
  exchange(layer: number, buffers: RowBuffers | undefined): RowBuffers | undefined {
    const before = this.#layers[layer];
    this.#layers[layer] = buffers;
    return before;
  }

  free(buffers: RowBuffers | undefined): void {
    if (buffers === undefined) return;
    for (const kind of KINDS) this.#gpu.buffers.destroy(buffers[kind]);
  }

  /** What the host knows of a layer's heads; the GPU knows it already. */
  setHeads(layer: number, heads: readonly TableEntry[]): void {
    const first = layer * this.#shape.numKvHeads;
    this.#entries = this.#entries.map((entry, i) => heads[i - first] ?? entry);
  }

  /** Take over the table as the GPU has it. */
  readTable(words: Uint32Array): void {
    this.#entries = tableEntries(words);
  }

  /** Set the rows in use of every entry, here and on the GPU. */
  setLengths(lengthOf: (index: number, length: number) => number): void {
    this.#entries = this.#entries.map(([offset, length, capacity], index) => [
      offset,
      lengthOf(index, length),
      capacity,
    ]);
    this.writeTable();
  }

  writeTable(): void {
    const entries = this.#entries;
    const entry = (index: number): TableEntry => entries[index] as TableEntry;
    writeTable(this.#gpu.device, this.table, entries.length, entry);
  }

  /** Positions of a layer's rows, per head; reads them from the GPU. */
  async positions(layer: number): Promise<number[][]> {
    const heads = this.heads(layer);
    const buffer = this.#layers[layer]?.positions;
    if (buffer === undefined) return heads.map(() => []);
    const [bytes] = await readBack(this.#gpu, [{ buffer, bytes: buffer.size }]);
    const all = asWords(bytes as Uint8Array<ArrayBuffer>, Uint32Array);
    return heads.map(([offset, length]) => [...all.subarray(offset, offset + length)]);
  }

  /** Copy all rows to host memory, a layer at a time. */
  async save(): Promise<SavedRows> {
    const layers: SavedRows["layers"][number][] = [];
    let bytes = 0;
    for (const buffers of this.#layers as RowBuffers[]) {
      const ranges = KINDS.map((kind) => ({ buffer: buffers[kind], bytes: buffers[kind].size }));
      const [keys, values, positions] = (await readBack(this.#gpu, ranges)) as RowBytes;
      layers.push({ keys, values, positions });
      bytes += keys.byteLength + values.byteLength + positions.byteLength;
    }
    return { layers, entries: this.#entries, bytes };
  }

  /**
   * Lay a layer's rows out as `heads` says: each head's first rows, from host memory where they are
   * saved, else from where they are on the GPU.
   * @throws GpuOutOfMemoryError, DeviceLostError, and the layer is as it was.
   */
  async lay(layer: number, heads: readonly TableEntry[], saved?: SavedRows): Promise<void> {
    const old = this.#layers[layer];
    const from = this.heads(layer);
    if (saved === undefined && heads.every((head, h) => liesAs(head, from[h] as TableEntry))) {
      this.setHeads(layer, heads);
      return;
    }
    const rows = heads.reduce((sum, [, , capacity]) => sum + capacity, 0);
    const bytes = rows * KINDS.reduce((sum, kind) => sum + this.#rowBytes(kind), 0);
    const to = await this.#gpu.allocating(`rows of layer ${layer}`, bytes, () =>
      this.allocate(layer, rows),
    );
    if (saved !== undefined) this.#load(saved, layer, to, heads);
    else if (old !== undefined) this.#copy(old, from, to, heads);
    this.free(this.exchange(layer, to));
    this.setHeads(layer, heads);
  }

  /** Give all rows back. */
  clear(): void {
    this.#layers.forEach((_, layer) => this.free(this.exchange(layer, undefined)));
    const { numLayers, numKvHeads } = this.#shape;
    this.#entries = Array.from({ length: numLayers * numKvHeads }, () => NO_ROWS);
    this.writeTable();
  }

  destroy(): void {
    this.clear();
    this.#gpu.buffers.destroy(this.table);
  }

  #load(saved: SavedRows, layer: number, to: RowBuffers, heads: readonly TableEntry[]): void {
    const { queue } = this.#gpu.device;
    const first = layer * this.#shape.numKvHeads;
    for (const kind of KINDS) {
      const bytes = (saved.layers[layer] as SavedRows["layers"][number])[kind];
      const row = this.#rowBytes(kind);
      heads.forEach(([offset, length], h) => {
        const [start] = saved.entries[first + h] as TableEntry;
        queue.writeBuffer(to[kind], offset * row, bytes, start * row, length * row);
      });
    }
  }

  #copy(
    old: RowBuffers,
    from: readonly TableEntry[],
    to: RowBuffers,
    heads: readonly TableEntry[],
  ): void {
    const encoder = this.#gpu.device.createCommandEncoder();
    for (const kind of KINDS) {
      const row = this.#rowBytes(kind);
      heads.forEach(([offset, length], h) => {
        const [start] = from[h] as TableEntry;
        encoder.copyBufferToBuffer(old[kind], start * row, to[kind], offset * row, length * row);
      });
    }
    this.#gpu.device.queue.submit([encoder.finish()]);
  }

  #rowBytes(kind: (typeof KINDS)[number]): number {
    return kind === "positions" ? 4 : kvRowBytes(this.#shape);
  }
}

type RowBytes = [Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>];

function liesAs([offset, , capacity]: TableEntry, [at, , room]: TableEntry): boolean {
  return offset === at && capacity === room;
}
