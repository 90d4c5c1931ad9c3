/** Adds `delta` to the lengths of `count` table entries from `first` on, within 0 and capacity. */
export function adjustLengths(
  table: Uint32Array,
  first: number,
  count: number,
  delta: number,
): Uint32Array {
  const adjusted = table.slice();
  for (let i = first; i < first + count; i++) {
    adjusted[i * 4 + 1] = Math.min(Math.max(table[i * 4 + 1] + delta, 0), table[i * 4 + 2]);
  }
  return adjusted;
}
