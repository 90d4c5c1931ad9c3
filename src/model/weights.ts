import type { ByteSource } from "../formats/byte-source.ts";
import type { TensorFile, TensorInfo } from "../formats/tensor-types.ts";
import { readVector } from "../formats/stream.ts";
import type { GpuContext } from "../gpu/device.ts";
import type { Matrix } from "./linear.ts";
import { type MatrixReport, MatrixUploader } from "./matrix-upload.ts";
import type { ModelTensors } from "./model-tensors.ts";
import { interleavedRows, stackedRows } from "./row-runs.ts";

/** Weights of one decoder layer, on the GPU. Norms and biases are f32. */
export interface LayerWeights {
  readonly attentionNorm: GPUBuffer; // [hiddenSize]
  readonly qkv: Matrix; // [(numHeads + 2 numKvHeads) * headDim][hiddenSize]
  readonly qkvBias?: GPUBuffer; // [(numHeads + 2 numKvHeads) * headDim]
  readonly output: Matrix; // [hiddenSize][numHeads * headDim]
  readonly ffnNorm: GPUBuffer; // [hiddenSize]
  readonly gateUp: Matrix; // [2 intermediateSize][hiddenSize], rows gate 0, up 0, gate 1, …
  readonly down: Matrix; // [hiddenSize][intermediateSize]
}

/** All weights of a model, on the GPU. */
export interface ModelWeights {
  readonly embedding: Matrix; // [vocabSize][hiddenSize]
  readonly layers: readonly LayerWeights[];
  readonly outputNorm: GPUBuffer; // [hiddenSize]
  /** The embedding itself where the file ties them. */
  readonly lmHead: Matrix; // [vocabSize][hiddenSize]
  readonly reports: readonly MatrixReport[];
  /** Tells these weights from others of the same shape. */
  readonly fingerprint: string;
}

export interface WeightLoadOptions {
  readonly signal?: AbortSignal | undefined;
  /** Called with the bytes of tensor data read so far. */
  readonly onBytes?: (bytes: number) => void;
}

/**
 * Stream a model's tensors to the GPU, repacked on the way; no tensor is ever whole on the JS heap.
 * @throws ModelFormatError and UnsupportedModelError for values that can't be had, SourceError,
 * GpuOutOfMemoryError; the signal's reason when aborted.
 */
export async function loadWeights(
  gpu: GpuContext,
  source: ByteSource,
  file: TensorFile,
  tensors: ModelTensors,
  options: WeightLoadOptions = {},
): Promise<ModelWeights> {
  const upload = new MatrixUploader(gpu, source, file, options);
  const vector = async (label: string, ...parts: readonly TensorInfo[]): Promise<GPUBuffer> => {
    const values = await Promise.all(parts.map((info) => readVector(source, info, options.signal)));
    upload.count(parts.reduce((bytes, info) => bytes + info.bytes, 0));
    return upload.vector(
      label,
      values.flatMap((part) => [...part]),
    );
  };
  const matrix = (label: string, ...parts: readonly TensorInfo[]): Promise<Matrix> =>
    upload.matrix(label, stackedRows(parts));

  // Labels are GGUF's names, wherever the tensors come from.
  const embedding = await matrix("token_embd.weight", tensors.embedding);
  const layers: LayerWeights[] = [];
  for (const [index, layer] of tensors.layers.entries()) {
    const { queries, keys, values, biases, gate, up } = layer;
    const name = (part: string): string => `blk.${index}.${part}`;
    layers.push({
      attentionNorm: await vector(name("attn_norm.weight"), layer.attentionNorm),
      qkv: await matrix(name("attn_qkv.weight"), queries, keys, values),
      ...(biases.length > 0 ? { qkvBias: await vector(name("attn_qkv.bias"), ...biases) } : {}),
      output: await matrix(name("attn_output.weight"), layer.output),
      ffnNorm: await vector(name("ffn_norm.weight"), layer.ffnNorm),
      gateUp: await upload.matrix(name("ffn_gate_up.weight"), interleavedRows(gate, up)),
      down: await matrix(name("ffn_down.weight"), layer.down),
    });
  }
  const outputNorm = await vector("output_norm.weight", tensors.outputNorm);
  const lmHead =
    tensors.lmHead === undefined ? embedding : await matrix("output.weight", tensors.lmHead);
  upload.destroy();
  const { reports, fingerprint } = upload;
  return { embedding, layers, outputNorm, lmHead, reports, fingerprint: fingerprint.hex };
}
