import { scoreStats, windowLogits, type WindowInput } from "./score_stats.ts";

/**
 * The share of the window's attention that each candidate gets, `[KV head][candidate]`: mean over
 * window tokens and over the query heads of the KV head, or of all of them.
 */
export function scoreWindow(input: WindowInput, allHeads = false): number[][] {
  const { queries, keys } = input;
  const numHeads = queries[0].length;
  const stats = scoreStats(input);
  const sums = keys.map((candidates) => candidates.map(() => 0));
  windowLogits(input).forEach((heads, i) =>
    heads.forEach((logits, head) => {
      const [max, sum] = stats[i][head];
      const kvHead = Math.floor((head * keys.length) / numHeads);
      logits.forEach((logit, j) => {
        const share = Math.exp(logit - max) / sum;
        for (const [h, row] of sums.entries()) if (allHeads || h === kvHead) row[j] += share;
      });
    }),
  );
  const terms = queries.length * (allHeads ? numHeads : numHeads / keys.length);
  return sums.map((row) => row.map((sum) => sum / terms));
}
