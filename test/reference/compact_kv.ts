import { placeHeads } from "./place_heads.ts";

/** New row of each kept candidate: `[KV head]` lists of (candidate, row). */
export function compactKv(
  kept: readonly (readonly number[])[],
  spareRows: number,
): { readonly head: number; readonly candidate: number; readonly row: number }[] {
  const entries = placeHeads(
    kept.map(({ length }) => length),
    spareRows,
  );
  return kept.flatMap((candidates, head) =>
    candidates.map((candidate, i) => ({ head, candidate, row: entries[head][0] + i })),
  );
}
