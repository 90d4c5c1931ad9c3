import { SLOT_BYTES } from "../gpu/recorder.ts";
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

/** Most dispatches of one submit of a prefill: one layer over one chunk, or what comes after the last. */
export const PREFILL_DISPATCHES = 256;

/** Dispatches of a decode step: at most so many per layer, and beside them. */
const MAX_LAYER_DISPATCHES = 16;
const EXTRA_DISPATCHES = 64;

/** Most dispatches of one decode step. */
export function decodeDispatches(numLayers: number): number {
  return numLayers * MAX_LAYER_DISPATCHES + EXTRA_DISPATCHES;
}

/** f32 numbers of a row of logits: kernels read it as `vec4`. */
export function logitsWidth(vocabSize: number): number {
  return Math.ceil(vocabSize / 4) * 4;
}

/**
 * Bytes that a loaded engine holds for decoding, but for some KiB whose size the adapter decides: logits
 * of the prompt and of a step, one row of activations, the Params of a step.
 */
export function decodeBytes(
  shape: ActivationShape & Pick<ModelConfig, "numLayers" | "vocabSize">,
): { readonly activations: number; readonly uniforms: number } {
  const { hidden, qkv, attended, gated } = activationWidths(shape);
  return {
    activations: 4 * (2 * logitsWidth(shape.vocabSize) + hidden + qkv + attended + gated),
    uniforms: decodeDispatches(shape.numLayers) * SLOT_BYTES,
  };
}

/** Most tokens whose hidden states (one buffer, f32) take no more than `bytes`; at least one. */
export function passTokens(
  { hiddenSize }: Pick<ActivationShape, "hiddenSize">,
  bytes: number,
): number {
  return Math.max(Math.floor(bytes / (hiddenSize * 4)), 1);
}
