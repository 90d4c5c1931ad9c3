import type { GpuContext } from "../gpu/device.ts";
import type { KernelSpec } from "../gpu/kernel.ts";
import type { DispatchList } from "../gpu/recorder.ts";
import type { CompressCall, Scratch } from "./compress-call.ts";
import {
  chooseCompress,
  type CompressKernelName,
  type CompressVariant,
  compressKernels,
} from "./compress-kernels.ts";
import {
  type CompressContext,
  recordCompaction,
  recordScores,
  recordSelection,
} from "./compress-layer.ts";
import type { KvShape, ScratchBytes } from "./layout.ts";
import type { ResolvedCacheOptions } from "./options.ts";

/** Scores, selects and compacts a layer's rows on the GPU. */
export interface Compressor {
  /** Rows are ranked by the window's attention. */
  readonly usesWindow: boolean;
  allocate(bytes: ScratchBytes): Scratch;
  release(scratch: Scratch): void;
  record(list: DispatchList, scratch: Scratch, call: CompressCall): void;
}

/** Compile the kernels that a policy needs. `variant` is chosen by the adapter unless a test does. */
export async function createCompressor(
  gpu: GpuContext,
  shape: KvShape,
  options: ResolvedCacheOptions,
  variant: CompressVariant = chooseCompress(gpu),
): Promise<Compressor> {
  const specs = compressKernels(shape, options, variant);
  const names = Object.keys(specs) as CompressKernelName[];
  const compiled = await Promise.all(
    names.map(async (name) => [name, await gpu.kernels.get(specs[name] as KernelSpec)] as const),
  );
  const kernels = new Map(compiled);
  const context: CompressContext = {
    shape,
    options,
    run: (list, name, buffers, params, workgroups) => {
      const kernel = kernels.get(name);
      if (kernel === undefined) throw new Error(`the policy has no kernel "${name}"`);
      list.run(kernel, buffers, params, workgroups);
    },
  };
  return {
    usesWindow: options.policy.scorer?.kind === "window",
    allocate: (bytes) => allocate(gpu, bytes),
    release(scratch) {
      for (const buffer of new Set(Object.values(scratch))) gpu.buffers.destroy(buffer);
    },
    record(list, scratch, call) {
      if (call.evicts) recordScores(context, list, scratch, call);
      recordSelection(context, list, scratch, call);
      recordCompaction(context, list, scratch, call);
    },
  };
}

function allocate(gpu: GpuContext, bytes: ScratchBytes): Scratch {
  const create = (label: string, size: number): GPUBuffer =>
    gpu.buffers.create({
      label,
      purpose: "kv",
      bytes: size,
      usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
    });
  const heads = create("heads of a layer", bytes.heads);
  const createOr = (label: string, size: number): GPUBuffer =>
    size > 0 ? create(label, size) : heads;
  return {
    heads,
    stagedKeys: createOr("staged keys", bytes.stagedKeys),
    stagedValues: createOr("staged values", bytes.stagedKeys),
    stats: createOr("window stats", bytes.stats),
    scores: createOr("scores", bytes.scores),
    pooled: createOr("pooled scores", bytes.pooled),
    kept: createOr("kept candidates", bytes.kept),
  };
}
