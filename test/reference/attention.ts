/** Cache rows of some heads: `data[row][headDim]`. */
export interface Rows {
  readonly keys: Float32Array;
  readonly values: Float32Array;
}

/** What the attention kernels read. */
export interface AttentionInput {
  readonly numHeads: number;
  readonly numKvHeads: number;
  readonly headDim: number;
  /** `[tokens][numHeads + 2 numKvHeads][headDim]`; only the queries are read. */
  readonly qkv: Float32Array;
  readonly tokens: number;
  /** Per KV head (offset, length, capacity, 0). */
  readonly table: Uint32Array;
  readonly cache: Rows;
}

/** What prefill reads beside that. */
export interface StagedInput {
  readonly staged: Rows;
  readonly stagedOffset: number;
  readonly stagedStride: number;
  /** Index of token 0 in the prefill. */
  readonly start: number;
}

export interface AttentionOutput {
  /** `[tokens][numHeads][headDim]`. */
  readonly out: Float64Array;
  /** `[tokens][numHeads]` of (max logit, sum of exp(logit - max)). */
  readonly stats: Float64Array;
}

/** Softmax attention of every query, in f64: each sees kept rows, then staged rows up to its own. */
export function attendPrefill(input: AttentionInput & StagedInput): AttentionOutput {
  const { table, cache, staged, stagedOffset, stagedStride, start } = input;
  return attend(input, (token, kvHead) => [
    ...rowsOf(cache, table[kvHead * 4], table[kvHead * 4 + 1]),
    ...rowsOf(staged, stagedOffset + kvHead * stagedStride, start + token + 1),
  ]);
}

/** The same for one decoded token, whose own row follows the rows of the cache. */
export function attendDecode(input: AttentionInput): AttentionOutput {
  const { table, cache } = input;
  return attend(input, (_, kvHead) => rowsOf(cache, table[kvHead * 4], table[kvHead * 4 + 1] + 1));
}

type Row = readonly [rows: Rows, row: number];

function rowsOf(rows: Rows, offset: number, count: number): Row[] {
  return Array.from({ length: count }, (_, j) => [rows, offset + j] as const);
}

function attend(
  { numHeads, numKvHeads, headDim, qkv, tokens }: AttentionInput,
  visible: (token: number, kvHead: number) => Row[],
): AttentionOutput {
  const out = new Float64Array(tokens * numHeads * headDim);
  const stats = new Float64Array(tokens * numHeads * 2);
  for (let token = 0; token < tokens; token++) {
    for (let head = 0; head < numHeads; head++) {
      const rows = visible(token, Math.floor((head * numKvHeads) / numHeads));
      const query = (token * (numHeads + 2 * numKvHeads) + head) * headDim;
      const logits = rows.map(([{ keys }, row]) => {
        let dot = 0;
        for (let i = 0; i < headDim; i++) dot += qkv[query + i] * keys[row * headDim + i];
        return dot / Math.sqrt(headDim);
      });
      const max = Math.max(...logits);
      const weights = logits.map((logit) => Math.exp(logit - max));
      const sum = weights.reduce((a, b) => a + b, 0);
      const result = (token * numHeads + head) * headDim;
      rows.forEach(([{ values }, row], j) => {
        for (let i = 0; i < headDim; i++) {
          out[result + i] += (weights[j] / sum) * values[row * headDim + i];
        }
      });
      stats.set([max, sum], (token * numHeads + head) * 2);
    }
  }
  return { out, stats };
}
