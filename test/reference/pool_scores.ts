import type { ScorePool } from "../../src/cache/options.ts";

/** One head's scores, pooled over what lies before the window; the window above them all. */
export function poolScores(
  scores: ArrayLike<number>,
  windowRows: number,
  { kind, size }: ScorePool,
): number[] {
  const past = scores.length - windowRows;
  return Array.from(scores, (_, j) => {
    if (j >= past) return Math.fround(3e38);
    const near = Array.from({ length: size }, (__, i) => j + i - (size - 1) / 2)
      .filter((i) => i >= 0 && i < past)
      .map((i) => scores[i]);
    return kind === "max" ? Math.max(...near) : near.reduce((a, b) => a + b) / size;
  });
}
