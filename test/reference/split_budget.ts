import { byRank } from "./select_topk.ts";

/**
 * Rows of each head when a layer keeps `totalRows` of the candidates that rank highest, but of every
 * head at least the `floorRows` highest; ties go to the lower head, then to the lower candidate.
 */
export function splitBudget(
  ranks: readonly ArrayLike<number>[],
  totalRows: number,
  floorRows: number,
): number[] {
  const entries = ranks.flatMap((row, head) =>
    byRank(row).map((j, place) => ({ head, isSafe: place < floorRows, rank: row[j] })),
  );
  const score = (rank: number): number => (Number.isNaN(rank) ? -Infinity : rank);
  const kept = entries
    .toSorted((a, b) => {
      if (a.isSafe !== b.isSafe) return a.isSafe ? -1 : 1;
      const [x, y] = [score(a.rank), score(b.rank)];
      return x === y ? 0 : y - x;
    })
    .slice(0, totalRows);
  return ranks.map((_, head) => kept.filter((entry) => entry.head === head).length);
}
