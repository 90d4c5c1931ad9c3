import { kvRowBytes } from "../cache/layout.ts";
import { readGguf } from "../formats/gguf.ts";
import { planarBytes } from "../formats/planar.ts";
import type { TensorFile, TensorInfo } from "../formats/tensor-types.ts";
import { readModelConfig } from "../model/config.ts";
import { matrixLayout } from "../model/layouts.ts";
import { ROPE_FACTORS } from "../model/weights.ts";
import { type OptionSpecs, readArgs, UsageError } from "./args.ts";
import { MODEL_OPTIONS, openModel } from "./model.ts";

/** Options of `ziggurat inspect`. */
export const INSPECT_OPTIONS: OptionSpecs = { ...MODEL_OPTIONS, "kv-dtype": { type: "string" } };

/** `ziggurat inspect`: what a model file holds and what it costs on the GPU, without a GPU. */
export async function inspect(argv: readonly string[]): Promise<void> {
  const args = readArgs(argv, INSPECT_OPTIONS);
  const dtype = args.text("kv-dtype") ?? "f16";
  if (dtype !== "f16" && dtype !== "f32") {
    throw new UsageError(`--kv-dtype wants f16 or f32, got "${dtype}"`);
  }
  const source = await openModel(args.required("model"));
  const file = await readGguf(source);
  const config = readModelConfig(file);
  const tensors = [...file.tensors.values()].map((info) => ({
    name: info.name,
    type: info.type,
    shape: info.shape,
    fileBytes: info.bytes,
    gpuBytes: gpuBytes(file, info),
  }));
  const { numLayers, numKvHeads, headDim } = config;
  const rows = 2 * numLayers * numKvHeads;
  const summary = {
    config,
    ggufVersion: file.version,
    fileBytes: source.size,
    gpuWeightBytes: tensors.reduce((sum, tensor) => sum + tensor.gpuBytes, 0),
    kvBytesPerToken: rows * kvRowBytes({ headDim, dtype }),
    kvDtype: dtype,
    tensors,
  };
  if (args.flag("json")) {
    process.stdout.write(`${JSON.stringify(summary)}\n`);
    return;
  }
  for (const [name, value] of Object.entries({ ...config, ...summary })) {
    if (typeof value !== "object") process.stdout.write(`${name}: ${value}\n`);
  }
  for (const { name, type, shape, gpuBytes: bytes } of tensors) {
    process.stdout.write(`${name}  ${type}  [${shape.join(", ")}]  ${bytes} bytes on the GPU\n`);
  }
}

/** Norms and biases stay f32; matrices take their planar layout. */
function gpuBytes(file: TensorFile, info: TensorInfo): number {
  if (info.name === ROPE_FACTORS) return 0;
  const [rows = 0, cols] = info.shape;
  if (cols === undefined) return rows * 4;
  const { quantBytes, scaleBytes } = planarBytes(matrixLayout(file, info), rows, cols);
  return quantBytes + scaleBytes;
}
