import { compactKv } from "./compact_kv.ts";

/** Positions of the new rows; rows that nothing goes to stay 0. */
export function compactPositions(
  positions: readonly ArrayLike<number>[],
  kept: readonly (readonly number[])[],
  spareRows: number,
): Uint32Array {
  const rows = kept.reduce((sum, { length }) => sum + length + spareRows, 0);
  const moved = new Uint32Array(rows);
  for (const { head, candidate, row } of compactKv(kept, spareRows)) {
    moved[row] = positions[head][candidate];
  }
  return moved;
}
