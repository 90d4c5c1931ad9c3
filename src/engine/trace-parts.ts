import type { GpuContext } from "../gpu/device.ts";
import { KernelTimer } from "../gpu/kernel-timer.ts";
import type { Tracer } from "../profile/tracer.ts";

export { Tracer } from "../profile/tracer.ts";
export { takeTrace } from "./take-trace.ts";

/** What times dispatches for a trace, where the GPU offers it; the trace says so where it doesn't. */
export function createTimer(gpu: GpuContext, tracer: Tracer): KernelTimer | undefined {
  const { kernels } = tracer;
  if (!gpu.features.has("timestamp-query")) {
    kernels.unavailable = "This GPU or browser offers no timestamp queries.";
    return undefined;
  }
  kernels.unavailable = undefined;
  return new KernelTimer(
    gpu.buffers,
    (kind, times) => tracer.timed(kind === "decode" ? "decode" : "prefill", times),
    () => kernels.skipped++,
  );
}
