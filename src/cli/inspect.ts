import { kvRowBytes } from "../cache/layout.ts";
import { openModel } from "../model/open-model.ts";
import { openSource } from "../hub/open-source.ts";
import { tensorGpuBytes } from "../model/layouts.ts";
import { quantizeOnLoad } from "../model/quantize-plan.ts";
import { type OptionSpecs, readArgs, UsageError } from "./args.ts";
import { findModel, MODEL_OPTIONS, weightsOption } from "./model.ts";

/** Options of `ziggurat inspect`. */
export const INSPECT_OPTIONS: OptionSpecs = { ...MODEL_OPTIONS, "kv-dtype": { type: "string" } };

/** `ziggurat inspect`: what a model file holds and what it costs on the GPU, without a GPU. */
export async function inspect(argv: readonly string[]): Promise<void> {
  const args = readArgs(argv, INSPECT_OPTIONS);
  const dtype = args.text("kv-dtype") ?? "f16";
  if (dtype !== "f16" && dtype !== "f32") {
    throw new UsageError(`--kv-dtype wants f16 or f32, got "${dtype}"`);
  }
  const opened = await openSource(await findModel(args.required("model")));
  const { source, file: stored, config } = await openModel(opened);
  const weights = weightsOption(args);
  const file = weights === undefined ? stored : quantizeOnLoad(stored, weights);
  const tensors = [...file.tensors].map(([key, info]) => ({
    name: info.name,
    type: info.type,
    shape: info.shape,
    fileBytes: info.bytes,
    gpuBytes: tensorGpuBytes(file, key),
  }));
  const { numLayers, numKvHeads, headDim } = config;
  const rows = 2 * numLayers * numKvHeads;
  const summary = {
    config,
    format: "file" in opened ? "gguf" : "safetensors",
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
