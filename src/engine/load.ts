import { resolveCacheOptions } from "../cache/options.ts";
import { GpuOutOfMemoryError, InvalidOptionError } from "../errors.ts";
import type { QuantizedWeights } from "../formats/tensor-types.ts";
import { openGpu } from "../gpu/device.ts";
import { LocalEngine } from "./engine.ts";
import { openModel } from "../model/open-model.ts";
import { quantizeOnLoad } from "../model/quantize-plan.ts";
import { type ModelSource, openSource } from "../hub/open-source.ts";
import { createParts, type OpenParts } from "./parts.ts";
import { createRuntime } from "./runtime.ts";
import { selfTest } from "./self-test.ts";
import { loadBytes, withSmallerWeights } from "./smaller-weights.ts";
import { tracing } from "./tracing.ts";
import type { Engine, LoadOptions, LoadProgress } from "./types.ts";

/** Changes of the ledger that a trace keeps: those of hours. */
const DEFAULT_EVENTS = 65_536;

/**
 * Open a model, stream its weights to the GPU and compile the kernels.
 * @throws SourceError, ModelFormatError, UnsupportedModelError for the file;
 * WebGpuUnavailableError, UnsupportedDeviceError, GpuOutOfMemoryError, DeviceLostError for the GPU;
 * the signal's reason when aborted. Nothing stays allocated on the GPU when this throws.
 */
export async function loadEngine(source: ModelSource, options: LoadOptions = {}): Promise<Engine> {
  const { signal, onProgress, hiddenBytes, weights, trace = false } = options;
  signal?.throwIfAborted();
  if (weights !== undefined && weights !== "q4" && weights !== "q8") {
    throw new InvalidOptionError("weights", weights, '"q4" or "q8"');
  }
  const opened = await openSource(source, signal);
  onProgress?.({
    stage: "open",
    loadedBytes: 0,
    totalBytes: "file" in opened ? opened.file.size : 0,
  });
  const { source: bytes, file: stored, config, tokenizer } = await openModel(opened, signal);
  const file = weights === undefined ? stored : quantizeOnLoad(stored, weights);
  const report = (stage: LoadProgress["stage"], loadedBytes: number): void =>
    onProgress?.({ stage, loadedBytes, totalBytes: bytes.size });
  const cache = resolveCacheOptions(options.cache ?? {}, config.numLayers);
  if (hiddenBytes !== undefined && !(hiddenBytes >= config.hiddenSize * 4)) {
    const rule = `at least ${config.hiddenSize * 4} (one token)`;
    throw new InvalidOptionError("hiddenBytes", hiddenBytes, rule);
  }
  const traced = trace === true ? {} : trace || {};
  const { maxEvents = DEFAULT_EVENTS, kernelTimes = false, scores: keepsScores = false } = traced;
  if (!Number.isSafeInteger(maxEvents) || maxEvents < 1) {
    throw new InvalidOptionError("trace.maxEvents", maxEvents, "a whole number of at least 1");
  }
  const tracer = trace === false ? undefined : new (await tracing()).Tracer(maxEvents);
  const open: OpenParts = async (kind, use) => {
    const label = `the model ${file.name}`;
    const needed = loadBytes(file, config, kind);
    const gpu = await openGpu(options.gpu === undefined ? {} : { gpu: options.gpu });
    gpu.buffers.observer = tracer;
    tracer?.enter("load");
    try {
      use.onBytes?.(0);
      const parts = await gpu.allocating(label, needed, async () => {
        const asked = { tracer, kernelTimes, keepsScores };
        const runtimeOptions = { ...use, cache: kind, hiddenBytes, ...asked };
        const runtime = await createRuntime(gpu, bytes, file, config, runtimeOptions);
        use.onCompiled?.();
        await selfTest(runtime);
        return createParts(runtime, tokenizer);
      });
      use.signal?.throwIfAborted();
      tracer?.leave();
      return parts;
    } catch (error) {
      const bytesWith = (smaller: QuantizedWeights): number =>
        loadBytes(quantizeOnLoad(stored, smaller), config, kind);
      try {
        throw error instanceof GpuOutOfMemoryError
          ? await withSmallerWeights(gpu, error, { label, needed, bytesWith })
          : error;
      } finally {
        gpu.destroy();
      }
    }
  };
  let loaded = bytes.size - [...file.tensors.values()].reduce((sum, t) => sum + t.bytes, 0);
  const headerBytes = loaded;
  const onBytes = (tensorBytes: number): void => {
    loaded = headerBytes + tensorBytes;
    // Kernels compile beside the weights; what is left of it comes after them.
    report(loaded < bytes.size ? "weights" : "compile", loaded);
  };
  const onCompiled = (): void => report("compile", bytes.size);
  const parts = await open(cache, { signal, onBytes, onCompiled });
  const { reports: matrices } = parts.runtime.weights;
  onProgress?.({ stage: "ready", loadedBytes: bytes.size, totalBytes: bytes.size, matrices });
  return new LocalEngine(parts, open);
}
