/** Sinks above all, then the later the higher. */
export function scoreRecency(candidates: number, numSinks: number): number[] {
  return Array.from({ length: candidates }, (_, j) => (j < numSinks ? Math.fround(3e38) : j));
}
