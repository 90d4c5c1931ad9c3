/** Candidates from the highest to the lowest rank; NaN ranks lowest, ties go to the lower one. */
export function byRank(ranks: ArrayLike<number>): number[] {
  const rank = (j: number): number => (Number.isNaN(ranks[j]) ? -Infinity : ranks[j]);
  const isNumber = (j: number): number => Number(!Number.isNaN(ranks[j]));
  const compare = (a: number, b: number): number =>
    rank(a) === rank(b) ? isNumber(b) - isNumber(a) || a - b : rank(b) - rank(a);
  return Array.from(ranks, (_, j) => j).toSorted(compare);
}

/** The `rows` candidates of one head that rank highest, ascending. */
export function selectTopk(ranks: ArrayLike<number>, rows: number): number[] {
  return byRank(ranks)
    .slice(0, rows)
    .toSorted((a, b) => a - b);
}
