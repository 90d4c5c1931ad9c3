/** Twin of `embed`: hidden[t] = rows[tokenIds[t]], `[tokens][cols]`. */
export function embedReference(
  weights: Float32Array, // [vocabulary][cols]
  cols: number,
  tokenIds: ArrayLike<number>,
): Float32Array {
  const hidden = new Float32Array(tokenIds.length * cols);
  for (let t = 0; t < tokenIds.length; t++) {
    const start = tokenIds[t] * cols;
    hidden.set(weights.subarray(start, start + cols), t * cols);
  }
  return hidden;
}
