/** What tells one decoder architecture from another; the forward pass is the same for all. */
export interface Architecture {
  /** Which pairs of a head RoPE rotates: (2i, 2i + 1), or (i, i + headDim / 2). */
  readonly ropeStyle: "interleaved" | "half";
  /** The Q, K and V projections add a bias. */
  readonly qkvBias: boolean;
}

/**
 * Supported architectures, by `general.architecture` of the GGUF file. llama.cpp permutes the Q
 * and K rows of `llama` files so that RoPE rotates neighbours; `qwen2` keeps the original halves.
 */
export const ARCHITECTURES: Readonly<Record<string, Architecture>> = {
  llama: { ropeStyle: "interleaved", qkvBias: false },
  qwen2: { ropeStyle: "half", qkvBias: true },
};
