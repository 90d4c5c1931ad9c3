/** log softmax of row r at its target, in f64; NaN if the row holds NaN or +inf or only -inf. */
export function logprobs(
  logits: Float32Array,
  vocabSize: number,
  targets: ArrayLike<number>,
): number[] {
  return Array.from(targets, (target, r) => {
    const row = logits.subarray(r * vocabSize, (r + 1) * vocabSize);
    const best = row.reduce((m, x) => Math.max(m, x), -Infinity);
    if (!Number.isFinite(best)) return NaN;
    let others = 0;
    const bestId = row.indexOf(best);
    row.forEach((x, i) => (others += i === bestId ? 0 : Math.exp(x - best)));
    return row[target] - best - Math.log1p(others);
  });
}
