import type { BufferBinding, DispatchList } from "../gpu/recorder.ts";
import type { ModelConfig } from "./config.ts";
import type { Linear } from "./linear.ts";
import type { LayerWeights, ModelWeights } from "./weights.ts";

/** Activations of the tokens in work, f32; they are used again by every layer. */
export interface Activations {
  /** `[tokens of the forward][hiddenSize]`, updated in place. */
  readonly hidden: GPUBuffer;
  /** `[tokens in work][(numHeads + 2 numKvHeads) * headDim]` */
  readonly qkv: GPUBuffer;
  /** `[tokens in work][numHeads * headDim]` */
  readonly attended: GPUBuffer;
  /** `[tokens in work][intermediateSize]` */
  readonly gated: GPUBuffer;
}

/** Which tokens of the forward are in work. */
export interface TokenRange {
  readonly start: number;
  readonly tokens: number;
}

/**
 * One decoder layer over a range of tokens. `attend` records RoPE, the append to the cache and
 * attention, from `qkv` to `attended`: the only part in which prefill and decode differ.
 */
export function recordLayer(
  list: DispatchList,
  { hiddenSize, rmsNormEps: eps }: ModelConfig,
  linear: Linear,
  weights: LayerWeights,
  { hidden, qkv, attended, gated }: Activations,
  { start, tokens }: TokenRange,
  attend: (list: DispatchList) => void,
): void {
  const { attentionNorm, qkvBias, output, ffnNorm, gateUp, down } = weights;
  const from = { x: hidden, xOffset: start * hiddenSize };
  const to = { y: hidden, yOffset: start * hiddenSize, residual: true };
  const bias = qkvBias === undefined ? {} : { bias: qkvBias };

  const attentionIn = { ...from, y: qkv, norm: { gain: attentionNorm, eps }, ...bias };
  linear.record(list, { matrix: weights.qkv, tokens, ...attentionIn });
  attend(list);
  linear.record(list, { matrix: output, tokens, x: attended, ...to });

  const ffnIn = { ...from, y: gated, norm: { gain: ffnNorm, eps }, gated: true };
  linear.record(list, { matrix: gateUp, tokens, ...ffnIn });
  linear.record(list, { matrix: down, tokens, x: gated, ...to });
}

/** Logits `[tokens][vocabSize]` of a range of rows of hidden states. */
export function recordLogits(
  list: DispatchList,
  { hiddenSize, rmsNormEps: eps }: ModelConfig,
  linear: Linear,
  { lmHead, outputNorm }: ModelWeights,
  hidden: BufferBinding,
  logits: BufferBinding,
  { start, tokens }: TokenRange,
): void {
  const norm = { gain: outputNorm, eps };
  const from = { x: hidden, xOffset: start * hiddenSize };
  linear.record(list, { matrix: lmHead, tokens, ...from, y: logits, norm });
}
