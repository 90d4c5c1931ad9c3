/** Sum of the scores of the kept candidates of one head. */
export function keptMass(scores: ArrayLike<number>, kept: readonly number[]): number {
  return kept.reduce((sum, j) => sum + scores[j], 0);
}
