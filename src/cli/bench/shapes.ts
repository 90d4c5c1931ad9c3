import type { TensorType } from "../../formats/tensor-types.ts";

/** A decoder's sizes, and the types in which its weights are usually shipped. */
export interface ModelShape {
  readonly numLayers: number;
  readonly hiddenSize: number;
  readonly numHeads: number;
  readonly numKvHeads: number;
  readonly headDim: number;
  readonly intermediateSize: number;
  readonly vocabSize: number;
  readonly ropeTheta: number;
  readonly types: {
    readonly layers: TensorType;
    readonly embedding: TensorType;
    /** Absent where the embedding serves as the head. */
    readonly head?: TensorType;
  };
}

/** Shapes of well-known models: what `--shape` takes. */
export const SHAPES: Readonly<Record<string, ModelShape>> = {
  "smollm2-135m": {
    numLayers: 30,
    hiddenSize: 576,
    numHeads: 9,
    numKvHeads: 3,
    headDim: 64,
    intermediateSize: 1536,
    vocabSize: 49152,
    ropeTheta: 1e5,
    types: { layers: "Q4_1", embedding: "Q8_0" },
  },
  "llama-1b": {
    numLayers: 16,
    hiddenSize: 2048,
    numHeads: 32,
    numKvHeads: 8,
    headDim: 64,
    intermediateSize: 8192,
    vocabSize: 128256,
    ropeTheta: 5e5,
    types: { layers: "Q4_0", embedding: "Q6_K" },
  },
  "llama-8b": {
    numLayers: 32,
    hiddenSize: 4096,
    numHeads: 32,
    numKvHeads: 8,
    headDim: 128,
    intermediateSize: 14336,
    vocabSize: 128256,
    ropeTheta: 5e5,
    types: { layers: "Q4_0", embedding: "Q4_0", head: "Q6_K" },
  },
};
