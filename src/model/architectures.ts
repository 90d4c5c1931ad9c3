/** Which pairs of a head RoPE rotates: (2i, 2i + 1), or (i, i + headDim / 2). */
export type RopeStyle = "interleaved" | "half";

/** What tells one decoder architecture from another; the forward pass is the same for all. */
export interface Architecture {
  /** How RoPE pairs a head's dimensions in a GGUF file; in Hugging Face's own files it is always "half". */
  readonly ggufRopeStyle: RopeStyle;
  /** The Q, K and V projections add a bias. */
  readonly qkvBias: boolean;
}

/**
 * Supported architectures, by `general.architecture` of a GGUF file (hf-config.ts has the names of
 * Hugging Face). llama.cpp permutes the Q and K rows of `llama` files so that RoPE rotates
 * neighbours; `qwen2` keeps the original halves. The rows stay as the file has them: which pairs are
 * rotated is the attention kernels' option.
 */
export const ARCHITECTURES: Readonly<Record<string, Architecture>> = {
  llama: { ggufRopeStyle: "interleaved", qkvBias: false },
  qwen2: { ggufRopeStyle: "half", qkvBias: true },
};
