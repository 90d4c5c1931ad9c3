/** Queries of the window and keys of the candidates of one layer, as numbers. */
export interface WindowInput {
  /** `[window token][query head]` vectors. */
  readonly queries: readonly (readonly ArrayLike<number>[])[];
  /** `[KV head][candidate]` vectors; the window's own are the last ones. */
  readonly keys: readonly (readonly ArrayLike<number>[])[];
}

/** Scaled logits `[window token][query head][candidate]`, over what each window token sees. */
export function windowLogits({ queries, keys }: WindowInput): number[][][] {
  return queries.map((heads, i) =>
    heads.map((query, head) => {
      const candidates = keys[Math.floor((head * keys.length) / heads.length)];
      const seen = candidates.slice(0, candidates.length - queries.length + i + 1);
      return seen.map((key) => {
        let dot = 0;
        for (let d = 0; d < query.length; d++) dot += query[d] * key[d];
        return dot / Math.sqrt(query.length);
      });
    }),
  );
}

/** (max, sum of exp(logit - max)), `[window token][query head]`. */
export function scoreStats(input: WindowInput): [max: number, sum: number][][] {
  return windowLogits(input).map((heads) =>
    heads.map((logits) => {
      const max = logits.reduce((a, b) => Math.max(a, b), -Infinity);
      return [max, logits.reduce((sum, logit) => sum + Math.exp(logit - max), 0)];
    }),
  );
}
