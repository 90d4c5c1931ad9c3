/** (offset, length, capacity) of a head's rows. */
export type Entry = readonly [offset: number, length: number, capacity: number];

/** The table entries of heads that keep `rows` each. */
export function placeHeads(rows: readonly number[], spareRows: number): Entry[] {
  return rows.map((kept, head) => {
    const before = rows.slice(0, head).reduce((sum, count) => sum + count + spareRows, 0);
    return [before, kept, kept + spareRows];
  });
}

/** What the gathering kernels read of each head: (offset, length) before, (rows, first) after. */
export function placedHeads(
  before: readonly Entry[],
  rows: readonly number[],
  spareRows: number,
): number[][] {
  return placeHeads(rows, spareRows).map(([first, kept], head) => {
    const [offset, length] = before[head];
    return [offset, length, kept, first];
  });
}
