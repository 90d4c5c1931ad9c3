import { WebGpuUnavailableError } from "../errors.ts";
import { installNapPump } from "./nap-pump.ts";

const NO_PACKAGE =
  "WebGPU in Node needs the optional package `webgpu` (Dawn): install it with `npm install webgpu@0.6.2`";

const NO_ADAPTER =
  "Dawn found no GPU: install a Vulkan driver for your GPU or, for a software adapter, Mesa's lavapipe 23.2 or later " +
  "(Debian, Ubuntu: mesa-vulkan-drivers) or, on x64 Linux, `npm install @sparticuz/chromium@143.0.4`";

/** Held for the whole process: Dawn crashes when this object is collected while anything of it is in use. */
let opened: Promise<GPU> | undefined;

/**
 * Opens WebGPU in Node through Dawn, once per process, and publishes its classes and constants (`GPUBufferUsage`, …) as
 * globals. On a CPU adapter, waiting for results naps (see `nap-pump.ts`).
 *
 * @throws WebGpuUnavailableError when the package `webgpu` is not installed or has no adapter.
 */
export function openDawn(): Promise<GPU> {
  opened ??= open();
  return opened;
}

async function open(): Promise<GPU> {
  const { create, globals } = await import("webgpu").catch((cause: unknown) => {
    throw new WebGpuUnavailableError("no-webgpu", NO_PACKAGE, { cause });
  });
  Object.assign(globalThis, globals);
  // On Linux Dawn could fall back to OpenGL, which lacks what compute needs.
  const gpu = create(process.platform === "linux" ? ["backend=vulkan"] : []);
  const adapter = await gpu.requestAdapter({ powerPreference: "high-performance" });
  if (adapter === null) throw new WebGpuUnavailableError("no-adapter", NO_ADAPTER);
  if (adapter.info.isFallbackAdapter) installNapPump(globals);
  return gpu;
}
