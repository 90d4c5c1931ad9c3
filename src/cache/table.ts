/** One head's rows in its layer's buffers: (offset, length, capacity). */
export type TableEntry = readonly [offset: number, length: number, capacity: number];

const ENTRY_WORDS = 4;

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

/** Entry `index` of a table that was read back. */
export function tableEntry(words: Uint32Array, index: number): TableEntry {
  const at = index * ENTRY_WORDS;
  return [words[at] as number, words[at + 1] as number, words[at + 2] as number];
}
