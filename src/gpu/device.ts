import {
  DeviceLostError,
  GpuOutOfMemoryError,
  type LlmError,
  ShaderError,
  WebGpuUnavailableError,
} from "../errors.ts";
import { isSoftwareAdapter, requireAdapter } from "./adapter.ts";
import { BufferAllocator } from "./buffers.ts";
import { KernelCache } from "./kernel.ts";

/** Optional features that Ziggurat has kernel variants or timings for. */
const WANTED_FEATURES = ["subgroups", "timestamp-query"] as const;

/** Limits that are raised to what the adapter offers; everything else stays at the default. */
const RAISED_LIMITS = ["maxBufferSize", "maxStorageBufferBindingSize"] as const;

export interface GpuOptions {
  /** Where WebGPU comes from; by default `navigator.gpu`. */
  readonly gpu?: GPU;
  /** Optional features to use where the adapter has them; by default all that have variants. */
  readonly features?: readonly GPUFeatureName[];
  /** `default` keeps every limit at WebGPU's guaranteed value (for tests). */
  readonly limits?: "raised" | "default";
}

/** An open GPU device with its one allocator and its compiled kernels. */
export interface GpuContext {
  readonly device: GPUDevice;
  readonly info: GPUAdapterInfo;
  readonly features: ReadonlySet<string>;
  readonly limits: GPUSupportedLimits;
  /** The adapter runs on the CPU (a software rasteriser). */
  readonly isSoftware: boolean;
  readonly buffers: BufferAllocator;
  readonly kernels: KernelCache;
  /** Throw what went wrong since the last call: a lost device, an invalid command. */
  throwIfFailed(): void;
  /** Await something that a lost device rejects; throws what went wrong on the device instead. */
  settled<T>(promise: Promise<T>): Promise<T>;
  /**
   * Run what allocates, and throw a GpuOutOfMemoryError if the device could not serve it. `bytes`
   * is the size of the whole, for the message. When this throws, for whatever reason, the buffers
   * that were made meanwhile are freed. Calls may overlap where `allocate` gives no promise.
   */
  allocating<T>(label: string, bytes: number, allocate: () => T | Promise<T>): Promise<T>;
  /** Resolves when everything submitted so far is done. */
  idle(): Promise<void>;
  /** Free every buffer and the device. */
  destroy(): void;
}

/**
 * Open a GPU device.
 * @throws WebGpuUnavailableError when there is no WebGPU, no adapter, no device, or the page is insecure;
 * UnsupportedDeviceError where a limit of the adapter is too small.
 */
export async function openGpu(options: GpuOptions = {}): Promise<GpuContext> {
  const adapter = await requireAdapter(options.gpu);
  const features = (options.features ?? WANTED_FEATURES).filter((f) => adapter.features.has(f));
  const requiredLimits: Record<string, number> = {};
  if (options.limits !== "default") {
    for (const limit of RAISED_LIMITS) requiredLimits[limit] = adapter.limits[limit];
  }
  const device = await requestDevice(adapter, { requiredFeatures: features, requiredLimits });
  const { info } = adapter;
  let failure: LlmError | undefined;
  let closed = false;
  void device.lost.then(({ reason, message }) => {
    if (!closed) failure ??= new DeviceLostError(reason, message);
  });
  device.addEventListener("uncapturederror", ({ error }) => {
    failure ??=
      error instanceof GPUOutOfMemoryError
        ? new GpuOutOfMemoryError("a buffer", 0, buffers.now.total, { cause: error })
        : new ShaderError("GPU command", [error.message]);
  });
  const buffers = new BufferAllocator(device);
  const throwIfFailed = (): void => {
    if (failure !== undefined) throw failure;
  };
  const settled = async <T>(promise: Promise<T>): Promise<T> => {
    try {
      const value = await promise;
      throwIfFailed();
      return value;
    } catch (error) {
      // A rejection may come just before `device.lost` says why.
      if (failure === undefined) await Promise.race([device.lost, delay(100)]);
      throw failure ?? error;
    }
  };
  return {
    device,
    info,
    features: new Set(features),
    limits: device.limits,
    isSoftware: isSoftwareAdapter(info),
    buffers,
    kernels: new KernelCache(device),
    throwIfFailed,
    settled,
    async allocating<T>(label: string, bytes: number, allocate: () => T | Promise<T>): Promise<T> {
      const first = buffers.nextId;
      const usedBefore = buffers.now.total;
      // A buffer that could not be had makes commands invalid too; those errors are of no interest.
      device.pushErrorScope("validation");
      device.pushErrorScope("out-of-memory");
      let outcome: PromiseSettledResult<T>;
      try {
        const made = allocate();
        // Scopes are a stack of the device's: no other call may come between, so nothing is awaited in vain.
        outcome = { status: "fulfilled", value: made instanceof Promise ? await made : made };
      } catch (reason) {
        outcome = { status: "rejected", reason };
      }
      const end = buffers.nextId;
      const scopes = [device.popErrorScope(), device.popErrorScope()] as const;
      try {
        const [noMemory, invalid] = await settled(Promise.all(scopes));
        if (noMemory !== null) throw new GpuOutOfMemoryError(label, bytes, usedBefore);
        if (outcome.status === "rejected") throw outcome.reason;
        if (invalid !== null) throw new ShaderError("GPU command", [invalid.message]);
        return outcome.value;
      } catch (error) {
        buffers.destroyAll(first, end);
        throw error;
      }
    },
    idle: () => settled(device.queue.onSubmittedWorkDone()),
    destroy() {
      closed = true;
      buffers.destroyAll();
      device.destroy();
    },
  };
}

async function requestDevice(
  adapter: GPUAdapter,
  descriptor: GPUDeviceDescriptor,
): Promise<GPUDevice> {
  try {
    return await adapter.requestDevice(descriptor);
  } catch (cause) {
    const advice = "close other GPU users, or restart the browser";
    const message = `the GPU is there, but could not be opened (${String(cause)}); ${advice}`;
    throw new WebGpuUnavailableError("no-device", message, { cause });
  }
}

function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
