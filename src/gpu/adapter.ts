import { UnsupportedDeviceError, WebGpuUnavailableError } from "../errors.ts";

/**
 * What the portable kernels need: WebGPU's own guaranteed limits. An adapter under them is in
 * compatibility mode, or holds its figures back.
 */
export const NEEDED_LIMITS = {
  maxBufferSize: 268_435_456,
  maxStorageBufferBindingSize: 134_217_728,
  maxStorageBuffersPerShaderStage: 8,
  maxComputeWorkgroupStorageSize: 16_384,
  maxComputeInvocationsPerWorkgroup: 256,
} as const;

async function requestAdapter(gpu?: GPU): Promise<GPUAdapter> {
  if (gpu === undefined && globalThis.isSecureContext === false) {
    throw new WebGpuUnavailableError(
      "insecure-context",
      "WebGPU needs a secure page: open it over https or from localhost",
    );
  }
  const entry = gpu ?? globalThis.navigator?.gpu;
  if (entry === undefined) {
    throw new WebGpuUnavailableError(
      "no-webgpu",
      "this browser has no WebGPU; use a current Chrome, Edge, Safari 26 or Firefox",
    );
  }
  const advice =
    "WebGPU found no usable GPU; update the driver, or enable WebGPU for this GPU in the browser";
  let adapter: GPUAdapter | null;
  try {
    adapter = await entry.requestAdapter({ powerPreference: "high-performance" });
  } catch (cause) {
    if (cause instanceof WebGpuUnavailableError) throw cause; // it knows better
    throw new WebGpuUnavailableError("no-adapter", advice, { cause });
  }
  if (adapter === null) throw new WebGpuUnavailableError("no-adapter", advice);
  return adapter;
}

/** Lavapipe and SwiftShader: their descriptions name a rasteriser that runs on the CPU. */
export function isSoftwareAdapter(info: GPUAdapterInfo): boolean {
  const text = `${info.vendor} ${info.architecture} ${info.device} ${info.description}`;
  return info.isFallbackAdapter || /swiftshader|llvmpipe|lavapipe|software/i.test(text);
}

/**
 * Get the adapter, if engines can run on it; asks for no device and allocates nothing.
 * @param gpu where WebGPU comes from; by default `navigator.gpu`
 * @throws WebGpuUnavailableError; UnsupportedDeviceError where a limit is too small
 */
export async function requireAdapter(gpu?: GPU): Promise<GPUAdapter> {
  const adapter = await requestAdapter(gpu);
  for (const [name, needed] of Object.entries(NEEDED_LIMITS)) {
    const offered = adapter.limits[name as keyof typeof NEEDED_LIMITS];
    if (offered < needed) throw new UnsupportedDeviceError(name, needed, offered);
  }
  return adapter;
}
