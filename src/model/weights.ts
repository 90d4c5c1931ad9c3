import { ModelFormatError } from "../errors.ts";
import type { ByteSource } from "../formats/byte-source.ts";
import type { TensorFile, TensorInfo } from "../formats/tensor-types.ts";
import { readVector } from "../formats/stream.ts";
import type { GpuContext } from "../gpu/device.ts";
import { architectureOf, type ModelConfig } from "./config.ts";
import type { Matrix } from "./linear.ts";
import { type MatrixReport, MatrixUploader } from "./matrix-upload.ts";
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
 * @throws ModelFormatError for a missing tensor or one of the wrong shape, UnsupportedModelError,
 * SourceError, GpuOutOfMemoryError; the signal's reason when aborted.
 */
export async function loadWeights(
  gpu: GpuContext,
  source: ByteSource,
  file: TensorFile,
  config: ModelConfig,
  options: WeightLoadOptions = {},
): Promise<ModelWeights> {
  const { hiddenSize, numHeads, numKvHeads, headDim, intermediateSize, vocabSize } = config;
  const upload = new MatrixUploader(gpu, source, file, options);
  const find = tensorFinder(file);
  const vector = async (names: readonly string[], sizes: readonly number[]): Promise<GPUBuffer> => {
    const parts = names.map((name, i) => find(name, [sizes[i] as number]));
    const values = await Promise.all(parts.map((info) => readVector(source, info, options.signal)));
    upload.count(parts.reduce((bytes, info) => bytes + info.bytes, 0));
    return upload.vector(
      names.join(" + "),
      values.flatMap((part) => [...part]),
    );
  };
  const matrix = (name: string, rows: number, cols: number): Promise<Matrix> =>
    upload.matrix(name, stackedRows([find(name, [rows, cols])]));

  const [queries, keys] = [numHeads * headDim, numKvHeads * headDim];
  const embedding = await matrix("token_embd.weight", vocabSize, hiddenSize);
  const layers: LayerWeights[] = [];
  for (let layer = 0; layer < config.numLayers; layer++) {
    const name = (part: string): string => `blk.${layer}.${part}`;
    const qkv = [
      find(name("attn_q.weight"), [queries, hiddenSize]),
      find(name("attn_k.weight"), [keys, hiddenSize]),
      find(name("attn_v.weight"), [keys, hiddenSize]),
    ];
    const gateUp = [
      find(name("ffn_gate.weight"), [intermediateSize, hiddenSize]),
      find(name("ffn_up.weight"), [intermediateSize, hiddenSize]),
    ] as const;
    const biases = ["attn_q.bias", "attn_k.bias", "attn_v.bias"].map(name);
    layers.push({
      attentionNorm: await vector([name("attn_norm.weight")], [hiddenSize]),
      qkv: await upload.matrix(name("attn_qkv.weight"), stackedRows(qkv)),
      ...(architectureOf(config).qkvBias
        ? { qkvBias: await vector(biases, [queries, keys, keys]) }
        : {}),
      output: await matrix(name("attn_output.weight"), hiddenSize, queries),
      ffnNorm: await vector([name("ffn_norm.weight")], [hiddenSize]),
      gateUp: await upload.matrix(name("ffn_gate_up.weight"), interleavedRows(...gateUp)),
      down: await matrix(name("ffn_down.weight"), hiddenSize, intermediateSize),
    });
  }
  const outputNorm = await vector(["output_norm.weight"], [hiddenSize]);
  const lmHead = file.tensors.has("output.weight")
    ? await matrix("output.weight", vocabSize, hiddenSize)
    : embedding;
  upload.destroy();
  const { reports, fingerprint } = upload;
  return { embedding, layers, outputNorm, lmHead, reports, fingerprint: fingerprint.hex };
}

/** Name of the tensor that becomes part of the RoPE table. */
export const ROPE_FACTORS = "rope_freqs.weight";

/** The divisors of the RoPE frequencies that Llama 3 files carry, where the file has them. */
export async function loadRopeFactors(
  source: ByteSource,
  file: TensorFile,
  config: ModelConfig,
  signal?: AbortSignal,
): Promise<Float32Array | undefined> {
  if (!file.tensors.has(ROPE_FACTORS)) return undefined;
  return readVector(source, tensorFinder(file)(ROPE_FACTORS, [config.ropeDim / 2]), signal);
}

function tensorFinder(file: TensorFile): (name: string, shape: readonly number[]) => TensorInfo {
  return (name, shape) => {
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
}
