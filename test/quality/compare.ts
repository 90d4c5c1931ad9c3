/** How the next-token distributions of a compressed cache differ from those of the full one. */
export interface Divergence {
  /** Mean over the rows of KL(full || compressed), in nats. */
  readonly kl: number;
  /** Share of the rows in which both think the same token the likeliest. */
  readonly agreement: number;
  /** Mean negative log-likelihood of the tokens that really follow, minus that under the full cache, in nats. */
  readonly deltaNll: number;
}

/** Distributions of the full cache, ready to be compared with: `[rows][vocabSize]`. */
export class Reference {
  readonly #logits: Float32Array;
  readonly #shares: Float32Array;
  readonly #vocabSize: number;

  constructor(logits: Float32Array, vocabSize: number) {
    this.#logits = logits;
    this.#shares = logits.slice();
    this.#vocabSize = vocabSize;
    forRows(this.#shares, vocabSize, (row) => {
      const total = logSumExp(row);
      for (let i = 0; i < row.length; i++) row[i] = Math.exp(row[i] - total);
    });
  }

  /** Compare with logits of the same rows; `targets[i]` is the token that follows row i. */
  compare(logits: Float32Array, targets: readonly number[]): Divergence {
    const size = this.#vocabSize;
    const rows = logits.length / size;
    let [kl, agreement, deltaNll] = [0, 0, 0];
    forRows(logits, size, (row, r) => {
      const full = this.#logits.subarray(r * size, (r + 1) * size);
      const shares = this.#shares.subarray(r * size, (r + 1) * size);
      // Logits count relative to the logarithm of their exponentials' sum.
      const shift = logSumExp(row) - logSumExp(full);
      let sum = 0;
      for (let i = 0; i < size; i++) sum += shares[i] * (full[i] - row[i]);
      kl += sum + shift;
      agreement += Number(argmax(full) === argmax(row));
      deltaNll += full[targets[r]] - row[targets[r]] + shift;
    });
    return { kl: kl / rows, agreement: agreement / rows, deltaNll: deltaNll / rows };
  }
}

/** The likeliest token of every row of `[rows][vocabSize]` logits. */
export function argmaxRows(logits: Float32Array, vocabSize: number): number[] {
  const tokens: number[] = [];
  forRows(logits, vocabSize, (row) => void tokens.push(argmax(row)));
  return tokens;
}

function forRows(
  values: Float32Array,
  vocabSize: number,
  visit: (row: Float32Array, index: number) => void,
): void {
  for (let row = 0; row * vocabSize < values.length; row++) {
    visit(values.subarray(row * vocabSize, (row + 1) * vocabSize), row);
  }
}

function argmax(row: Float32Array): number {
  let best = 0;
  for (let i = 1; i < row.length; i++) if (row[i] > row[best]) best = i;
  return best;
}

function logSumExp(row: Float32Array): number {
  const most = row[argmax(row)];
  let sum = 0;
  for (let i = 0; i < row.length; i++) sum += Math.exp(row[i] - most);
  return most + Math.log(sum);
}
