import type { GpuContext } from "../gpu/device.ts";
import { type KvShape, tableBytes } from "./layout.ts";

/** One head's rows in its layer's buffers: (offset, length, capacity). */
export type TableEntry = readonly [offset: number, length: number, capacity: number];

/** Bytes of an entry on the GPU: (offset, length, capacity, 0), u32 each. */
export const ENTRY_BYTES = 16;

const ENTRY_WORDS = 4;

/** The buffer of a cache table, one entry for each head of each layer. */
export function createTable({ buffers }: Pick<GpuContext, "buffers">, shape: KvShape): GPUBuffer {
  return buffers.create({
    label: "cache table",
    purpose: "kv",
    bytes: tableBytes(shape),
    usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
  });
}

/** Write all entries of a cache table, `[layer][head]`. */
export function writeTable(
  device: GPUDevice,
  table: GPUBuffer,
  entries: number,
  entry: (index: number) => TableEntry,
): void {
  const words = new Uint32Array(entries * ENTRY_WORDS);
  for (let i = 0; i < entries; i++) words.set(entry(i), i * ENTRY_WORDS);
  device.queue.writeBuffer(table, 0, words);
}

/** The entries of a table, or of a part of one, that was read back. */
export function tableEntries(words: Uint32Array): TableEntry[] {
  return Array.from({ length: words.length / ENTRY_WORDS }, (_, index) => {
    const at = index * ENTRY_WORDS;
    return [words[at] as number, words[at + 1] as number, words[at + 2] as number];
  });
}

/** Rows in use of the longest of some heads. */
export function mostLength(heads: readonly TableEntry[]): number {
  return Math.max(...heads.map(([, length]) => length));
}

/** Rows allocated for the largest of some heads. */
export function mostCapacity(heads: readonly TableEntry[]): number {
  return Math.max(...heads.map(([, , capacity]) => capacity));
}
