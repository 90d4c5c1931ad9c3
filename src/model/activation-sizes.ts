import type { ModelConfig } from "./config.ts";

/** Tokens in work at a time: enough to use the GPU, few enough for a short dispatch. */
export const CHUNK_TOKENS = 256;

/** What the sizes depend on. */
export type ActivationShape = Pick<
  ModelConfig,
  "hiddenSize" | "numHeads" | "numKvHeads" | "headDim" | "intermediateSize"
>;

/** f32 numbers per token of each activation. */
export function activationWidths(shape: ActivationShape): {
  readonly hidden: number;
  readonly qkv: number;
  readonly attended: number;
  readonly gated: number;
} {
  const { hiddenSize, numHeads, numKvHeads, headDim, intermediateSize } = shape;
  return {
    hidden: hiddenSize,
    qkv: (numHeads + 2 * numKvHeads) * headDim,
    attended: numHeads * headDim,
    gated: intermediateSize,
  };
}

/** Bytes of a prefill's activations and token ids while it runs. */
export function prefillActivationBytes(shape: ActivationShape, tokens: number): number {
  const { hidden, qkv, attended, gated } = activationWidths(shape);
  const chunk = Math.min(CHUNK_TOKENS, tokens);
  return 4 * (tokens * (hidden + 1) + chunk * (qkv + attended + gated));
}
