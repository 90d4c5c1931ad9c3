import { ShaderError } from "../errors.ts";
import { shaderSource } from "./shader-sources.ts";
import { type KernelSource, type WgslVariant, parseKernel } from "./wgsl.ts";

/** One kernel in one variant: which text, how its directives are resolved, its overrides. */
export interface KernelSpec extends WgslVariant {
  /** Name of the file in `shaders/`, without `.wgsl`. */
  readonly name: string;
  /** Values of the WGSL `override`s. */
  readonly constants?: Readonly<Record<string, number>>;
}

/** A compiled kernel: its pipeline, and the names and order of what it binds. */
export interface Kernel {
  readonly source: KernelSource;
  readonly pipeline: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
  /** Unique among the kernels of this process; part of the bind group cache's key. */
  readonly id: number;
}

let nextKernelId = 0;

/** The kernel's text with its directives resolved. @throws ModuleLoadError */
export async function kernelSource(spec: KernelSpec): Promise<KernelSource> {
  const { text, shared } = await shaderSource(spec.name);
  if (text === undefined) throw new Error(`there is no kernel "${spec.name}"`);
  return parseKernel(spec.name, text, shared, spec);
}

/**
 * Compile a kernel, asynchronously, so that compiling overlaps with streaming the weights.
 * @throws ModuleLoadError; ShaderError with the lines of the original files when the device rejects it.
 */
export async function createKernel(device: GPUDevice, spec: KernelSpec): Promise<Kernel> {
  const source = await kernelSource(spec);
  const label = source.name;
  const layout = device.createBindGroupLayout({
    label,
    entries: source.bindings.map(({ index, type }) => ({
      binding: index,
      visibility: GPUShaderStage.COMPUTE,
      buffer: { type, hasDynamicOffset: type === "uniform" },
    })),
  });
  // Without a scope Dawn would also report the rejection as an uncaptured error.
  device.pushErrorScope("validation");
  const module = device.createShaderModule({ label, code: source.code });
  const pipeline = device.createComputePipelineAsync({
    label,
    layout: device.createPipelineLayout({ label, bindGroupLayouts: [layout] }),
    compute: { module, entryPoint: "main", constants: { ...spec.constants } },
  });
  const scope = device.popErrorScope();
  try {
    return { source, pipeline: await pipeline, layout, id: nextKernelId++ };
  } catch (cause) {
    const { messages } = await module.getCompilationInfo();
    const diagnostics = messages
      .filter(({ type }) => type === "error")
      .map((m) => `${source.origin[m.lineNum - 1] ?? label}:${m.linePos} ${m.message}`);
    throw new ShaderError(label, diagnostics.length > 0 ? diagnostics : [String(cause)], { cause });
  } finally {
    await scope;
  }
}

/** Kernels by variant, each compiled once, also when two callers ask at the same time. */
export class KernelCache {
  readonly #device: GPUDevice;
  readonly #kernels = new Map<string, Promise<Kernel>>();

  constructor(device: GPUDevice) {
    this.#device = device;
  }

  get(spec: KernelSpec): Promise<Kernel> {
    const key = JSON.stringify(spec);
    const known = this.#kernels.get(key);
    if (known !== undefined) return known;
    const kernel = createKernel(this.#device, spec);
    this.#kernels.set(key, kernel);
    // What could not be loaded may be there the next time.
    kernel.catch(() => this.#kernels.delete(key));
    return kernel;
  }
}
