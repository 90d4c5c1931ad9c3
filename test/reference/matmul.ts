/** What a linear layer computes; see `linearReference`. */
export interface LinearReference {
  readonly rows: number;
  readonly cols: number;
  readonly tokens: number;
  readonly weights: Float32Array; // [rows][cols]
  readonly x: Float32Array; // [tokens][cols]
  readonly gain?: Float32Array; // [cols]: RMSNorm of x, with eps
  readonly eps?: number;
  readonly bias?: Float32Array; // [rows]
  readonly residual?: Float32Array; // [tokens][rows]: what y held before
  readonly gated?: boolean; // rows 2i (gate) and 2i + 1 (up) give one output
}

/**
 * Twin of `matvec_rows`, `matvec_lanes`, `matmul_rows` and `matmul_tile`, in f64:
 * y[t][n] = rstd[t] * sum_k W[n][k] * gain[k] * x[t][k] + bias[n] (+ residual[t][n]), or silu(gate) * up.
 */
export function linearReference(call: LinearReference): Float64Array {
  const { rows, cols, tokens, weights, x, gain, eps = 0, bias, residual, gated } = call;
  const width = gated ? rows / 2 : rows;
  const y = new Float64Array(tokens * width);
  for (let t = 0; t < tokens; t++) {
    let squares = 0;
    for (let k = 0; k < cols; k++) squares += x[t * cols + k] ** 2;
    const rstd = gain ? 1 / Math.sqrt(squares / cols + eps) : 1;
    const sums = new Float64Array(rows);
    for (let n = 0; n < rows; n++) {
      let sum = 0;
      for (let k = 0; k < cols; k++) {
        sum += weights[n * cols + k] * (gain ? gain[k] : 1) * x[t * cols + k];
      }
      sums[n] = rstd * sum + (bias ? bias[n] : 0);
    }
    for (let i = 0; i < width; i++) {
      const value = gated
        ? (sums[2 * i] / (1 + Math.exp(-sums[2 * i]))) * sums[2 * i + 1]
        : sums[i];
      y[t * width + i] = value + (residual ? residual[t * width + i] : 0);
    }
  }
  return y;
}
