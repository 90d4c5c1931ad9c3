import { expect } from "vitest";
import { type CompressionCase, keptPositions, type SelectionEdge } from "./format.ts";

/**
 * Compares which rows are kept, and counts those that are others than the reference's. Fails for one whose own
 * reference score is not within `tolerance` (relative) of a score at the selection's edge: rounding may not decide there.
 */
export function compareKept(
  { name, policy, kept, edges, budgets }: CompressionCase,
  actual: readonly (readonly (readonly number[])[])[],
  tolerance: number,
): { readonly swaps: number; readonly rows: number } {
  let [swaps, rows] = [0, 0];
  for (const [l, heads] of kept.entries()) {
    const count = (total: readonly (readonly number[])[]): number =>
      total.reduce((sum, positions) => sum + positions.length, 0);
    const wantedOf = heads.map(keptPositions);
    expect(count(actual[l])).toBe(count(wantedOf));
    rows += count(wantedOf);
    for (const [h, wanted] of wantedOf.entries()) {
      const got = actual[l][h];
      // Heads share a layer's rows out by rank: a swap may be one between heads.
      if (policy !== "ada-kv") expect(got).toHaveLength(wanted.length);
      const differ = [
        ...got.filter((position) => !wanted.includes(position)),
        ...wanted.filter((position) => !got.includes(position)),
      ];
      swaps += got.filter((position) => !wanted.includes(position)).length;
      const found = edges?.[l];
      const ends = found === undefined ? [] : edgeScores(policy, found, h, budgets[l]);
      for (const position of differ) {
        const score = scoreOf(found?.[h], position);
        const near = ends.some((edge) => Math.abs(score - edge) <= tolerance * Math.abs(edge));
        expect({ name, l, h, position, near }).toMatchObject({ near: true });
      }
    }
  }
  return { swaps, rows };
}

/** The lowest score that is kept and the highest that is evicted, where a head's rows are decided. */
function edgeScores(
  policy: CompressionCase["policy"],
  edges: readonly SelectionEdge[],
  head: number,
  budgets: readonly number[],
): readonly number[] {
  const { lowestKept, highestEvicted } = edges[head];
  if (policy !== "ada-kv") return [lowestKept, highestEvicted];
  // Where heads compete the edge is the layer's; a head at its floor has one of its own.
  const evicted = Math.max(...edges.map((edge) => edge.highestEvicted));
  const atFloor = budgets[head] === Math.min(...budgets) && lowestKept < evicted;
  if (atFloor) return [lowestKept, highestEvicted];
  const winners = edges.map((edge) => edge.lowestKept).filter((score) => score >= evicted);
  return [evicted, Math.min(...winners)];
}

/** NaN, which is near nothing, where the golden doesn't list the position: it is far from the edge. */
function scoreOf(edge: SelectionEdge | undefined, position: number): number {
  return edge?.scores[edge.positions.indexOf(position)] ?? NaN;
}
