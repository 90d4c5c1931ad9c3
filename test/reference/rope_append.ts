/** What `rope_append` reads. */
export interface RopeInput {
  readonly numHeads: number;
  readonly numKvHeads: number;
  readonly headDim: number;
  readonly ropeStyle: "interleaved" | "half";
  /** `ropeDim / 2` radians per position. */
  readonly ropeFrequencies: Float32Array;
  /** `[tokens][numHeads + 2 numKvHeads][headDim]`. */
  readonly qkv: Float32Array;
  readonly tokens: number;
  /** Position of token 0. */
  readonly position: number;
}

/** Queries and keys of all tokens rotated, values as they were: same layout as `qkv`, in f64. */
export function rotate(input: RopeInput): Float64Array {
  const { numHeads, numKvHeads, headDim, ropeStyle, ropeFrequencies, qkv, tokens } = input;
  const pairs = ropeFrequencies.length;
  const heads = numHeads + 2 * numKvHeads;
  const rotated = Float64Array.from(qkv);
  for (let token = 0; token < tokens; token++) {
    for (let head = 0; head < numHeads + numKvHeads; head++) {
      const base = (token * heads + head) * headDim;
      for (let i = 0; i < pairs; i++) {
        const a = base + (ropeStyle === "interleaved" ? 2 * i : i);
        const b = base + (ropeStyle === "interleaved" ? 2 * i + 1 : i + pairs);
        const angle = (input.position + token) * ropeFrequencies[i];
        const [cosine, sine] = [Math.cos(angle), Math.sin(angle)];
        rotated[a] = qkv[a] * cosine - qkv[b] * sine;
        rotated[b] = qkv[b] * cosine + qkv[a] * sine;
      }
    }
  }
  return rotated;
}
