import { ModelFormatError } from "../errors.ts";
import type { TensorFile, TensorInfo } from "../formats/tensor-types.ts";
import { architectureOf, type ModelConfig } from "./config.ts";

/** The tensors of one decoder layer. */
export interface LayerTensors {
  readonly attentionNorm: TensorInfo; // [hiddenSize]
  readonly queries: TensorInfo; // [numHeads * headDim][hiddenSize]
  readonly keys: TensorInfo; // [numKvHeads * headDim][hiddenSize]
  readonly values: TensorInfo; // [numKvHeads * headDim][hiddenSize]
  /** Of queries, keys and values; empty where the architecture has none. */
  readonly biases: readonly TensorInfo[];
  readonly output: TensorInfo; // [hiddenSize][numHeads * headDim]
  readonly ffnNorm: TensorInfo; // [hiddenSize]
  readonly gate: TensorInfo; // [intermediateSize][hiddenSize]
  readonly up: TensorInfo; // [intermediateSize][hiddenSize]
  readonly down: TensorInfo; // [hiddenSize][intermediateSize]
}

/** The tensors of a model by role; a file may have more. */
export interface ModelTensors {
  readonly embedding: TensorInfo; // [vocabSize][hiddenSize]
  readonly layers: readonly LayerTensors[];
  readonly outputNorm: TensorInfo; // [hiddenSize]
  /** Undefined where the embedding serves as the lm head, too. */
  readonly lmHead: TensorInfo | undefined; // [vocabSize][hiddenSize]
  /** The divisors of the RoPE frequencies that Llama 3 files carry. */
  readonly ropeFactors: TensorInfo | undefined; // [ropeDim / 2]
}

/** Name of the tensor that becomes part of the RoPE table. */
export const ROPE_FACTORS = "rope_freqs.weight";

/**
 * Find what loading reads, before it reads any of it.
 * @throws ModelFormatError for a tensor that is missing or of another shape.
 */
export function modelTensors(file: TensorFile, config: ModelConfig): ModelTensors {
  const { hiddenSize, numHeads, numKvHeads, headDim, intermediateSize, vocabSize } = config;
  const find = (name: string, ...shape: readonly number[]): TensorInfo => {
    const info = file.tensors.get(name);
    const expected = `of shape [${shape.join(", ")}]`;
    if (info === undefined) {
      throw new ModelFormatError(file.name, `tensor "${name}"`, expected, "nothing");
    }
    if (info.shape.join() !== shape.join()) {
      const got = `[${info.shape.join(", ")}]`;
      throw new ModelFormatError(file.name, `tensor "${info.name}"`, expected, got);
    }
    return info;
  };
  const findIfThere = (name: string, ...shape: readonly number[]): TensorInfo | undefined =>
    file.tensors.has(name) ? find(name, ...shape) : undefined;
  const [queries, keys] = [numHeads * headDim, numKvHeads * headDim];
  const hasBiases = architectureOf(config).qkvBias;
  const layer = (name: string): LayerTensors => ({
    attentionNorm: find(`${name}.attn_norm.weight`, hiddenSize),
    queries: find(`${name}.attn_q.weight`, queries, hiddenSize),
    keys: find(`${name}.attn_k.weight`, keys, hiddenSize),
    values: find(`${name}.attn_v.weight`, keys, hiddenSize),
    biases: hasBiases
      ? [
          find(`${name}.attn_q.bias`, queries),
          find(`${name}.attn_k.bias`, keys),
          find(`${name}.attn_v.bias`, keys),
        ]
      : [],
    output: find(`${name}.attn_output.weight`, hiddenSize, queries),
    ffnNorm: find(`${name}.ffn_norm.weight`, hiddenSize),
    gate: find(`${name}.ffn_gate.weight`, intermediateSize, hiddenSize),
    up: find(`${name}.ffn_up.weight`, intermediateSize, hiddenSize),
    down: find(`${name}.ffn_down.weight`, hiddenSize, intermediateSize),
  });
  return {
    embedding: find("token_embd.weight", vocabSize, hiddenSize),
    layers: Array.from({ length: config.numLayers }, (_, index) => layer(`blk.${index}`)),
    outputNorm: find("output_norm.weight", hiddenSize),
    lmHead: findIfThere("output.weight", vocabSize, hiddenSize),
    ropeFactors: findIfThere(ROPE_FACTORS, config.ropeDim / 2),
  };
}
