import type { ModelConfig } from "../../model/config.ts";

/** f32 operations of a phase; a multiply-add counts as two. Norms, RoPE and sampling are left out. */
export interface Work {
  readonly prefillFlops: number;
  /** Of one step, with `length` tokens in the cache. */
  decodeFlops(length: number): number;
}

/** What a model has to compute for a prompt, its last row through the head, and for each token after it. */
export function modelWork(config: ModelConfig, promptTokens: number): Work {
  const { numLayers, hiddenSize, numHeads, numKvHeads, headDim, intermediateSize } = config;
  const attentionWeights = (2 * numHeads + 2 * numKvHeads) * headDim * hiddenSize;
  const layerFlops = 2 * (attentionWeights + 3 * hiddenSize * intermediateSize);
  const headFlops = 2 * config.vocabSize * hiddenSize;
  /** One query against `keys` keys, and their values, in all layers. */
  const attentionFlops = (keys: number): number => 4 * numLayers * numHeads * headDim * keys;
  const pairs = (promptTokens * (promptTokens + 1)) / 2;
  return {
    prefillFlops: promptTokens * numLayers * layerFlops + attentionFlops(pairs) + headFlops,
    decodeFlops: (length) => numLayers * layerFlops + attentionFlops(length) + headFlops,
  };
}
