import { gpu as realGpu } from "../gpu.ts";

/** What a test does to a device while something runs on it. */
export interface FaultyGpu {
  /** To be given to `loadEngine`. */
  readonly gpu: GPU;
  /** From now on no more than so many bytes of buffers can be had on the device. */
  limitBytes(limit: number): void;
  /** Bytes of buffers on the device now. */
  liveBytes(): number;
  /** The device is gone, as after a crash of the driver; another one can be had. */
  lose(): void;
  /** Writes NaN all over the buffer of this label, as a damaged memory might. */
  poison(label: string): void;
  /** From now on a kernel with such a name does nothing, as if a driver had miscompiled it. */
  miscompile(name: RegExp): void;
  /** Devices that were opened. */
  devices(): number;
  /** No adapter is found from now on, or when it is asked for so many times. */
  removeAdapter(times?: number): void;
  /** How often an adapter was asked for. */
  requests(): number;
}

/**
 * WebGPU that runs out of memory or loses its device on demand, because no adapter does so by itself on request. Lost
 * means really destroyed: only the reason is made up. A buffer that is refused is a really invalid one; the error that
 * the scope reports is made up.
 */
export function faultyGpu(): FaultyGpu {
  let limit = Infinity;
  let devices = 0;
  let poison = (label: string): void => {
    throw new Error(`there is no buffer "${label}"`);
  };
  let requests = 0;
  let missing = 0;
  let miscompiled: RegExp | undefined;
  const live = new Map<GPUBuffer, number>();
  const liveBytes = (): number => [...live.values()].reduce((sum, size) => sum + size, 0);
  let lose = (): void => {
    throw new Error("there is no device to lose");
  };

  function wrap(device: GPUDevice): GPUDevice {
    devices++;
    poison = (label) => {
      const buffer = [...live.keys()].find((each) => each.label === label);
      if (buffer === undefined) throw new Error(`there is no buffer "${label}"`);
      device.queue.writeBuffer(buffer, 0, new Float32Array(buffer.size / 4).fill(Number.NaN));
    };
    const lost = new Promise<GPUDeviceLostInfo>((resolve) => {
      void device.lost.then(resolve);
      lose = () => {
        resolve({ reason: "unknown", message: "the driver crashed" } as GPUDeviceLostInfo);
        device.destroy();
      };
    });
    /** For each open scope of this filter, whether memory ran out in it. */
    const scopes: { filter: GPUErrorFilter; outOfMemory: boolean }[] = [];

    const createBuffer = (spec: GPUBufferDescriptor): GPUBuffer => {
      if (liveBytes() + spec.size <= limit) return watch(device.createBuffer(spec), spec.size);
      const scope = scopes.findLast(({ filter }) => filter === "out-of-memory");
      if (scope === undefined) throw new Error(`"${spec.label}" is allocated outside of a scope`);
      scope.outOfMemory = true;
      device.pushErrorScope("validation");
      const size = Math.floor(device.limits.maxBufferSize / 4) * 4 + 4;
      const invalid = device.createBuffer({ ...spec, size });
      void device.popErrorScope();
      return invalid;
    };
    const watch = (buffer: GPUBuffer, size: number): GPUBuffer => {
      live.set(buffer, size);
      const destroy = buffer.destroy.bind(buffer);
      buffer.destroy = () => {
        live.delete(buffer);
        return destroy();
      };
      return buffer;
    };
    const pushErrorScope = (filter: GPUErrorFilter): undefined => {
      scopes.push({ filter, outOfMemory: false });
      device.pushErrorScope(filter);
    };
    const popErrorScope = async (): Promise<GPUError | null> => {
      const scope = scopes.pop();
      const error = await device.popErrorScope();
      return scope?.outOfMemory ? new GPUOutOfMemoryError("simulated") : error;
    };
    const createShaderModule = (spec: GPUShaderModuleDescriptor): GPUShaderModule => {
      const { label = "", code } = spec;
      if (miscompiled?.test(label) !== true) return device.createShaderModule(spec);
      const changed = code.replace(/fn main\([^{]*\{/, "$& if (true) { return; }");
      return device.createShaderModule({ label, code: changed });
    };
    const changed = { lost, createShaderModule, createBuffer, pushErrorScope, popErrorScope };
    return new Proxy(device, {
      get(target, name) {
        if (Object.hasOwn(changed, name)) return changed[name as keyof typeof changed];
        const value: unknown = Reflect.get(target, name, target);
        return typeof value === "function" ? value.bind(target) : value;
      },
    });
  }

  const gpu = {
    async requestAdapter(options?: GPURequestAdapterOptions) {
      requests++;
      if (missing > 0) {
        missing--;
        return null;
      }
      const adapter = await realGpu.requestAdapter(options);
      if (adapter === null) return null;
      const { features, limits, info } = adapter;
      const requestDevice = async (spec?: GPUDeviceDescriptor): Promise<GPUDevice> =>
        wrap(await adapter.requestDevice(spec));
      return { features, limits, info, requestDevice };
    },
  };
  return {
    gpu: gpu as unknown as GPU,
    limitBytes: (bytes) => (limit = bytes),
    liveBytes,
    lose: () => lose(),
    poison: (label) => poison(label),
    miscompile: (name) => void (miscompiled = name),
    devices: () => devices,
    removeAdapter: (times = Infinity) => void (missing = times),
    requests: () => requests,
  };
}
