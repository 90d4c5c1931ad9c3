/** Counts a token of an answer. */
export function countToken(counts: Map<number, number>, token: number): void {
  counts.set(token, (counts.get(token) ?? 0) + 1);
}
