/**
 * What the tests and messages call an adapter: the two software adapters that we know, and `gpu` for anything else that
 * Dawn opens by default.
 */
export type AdapterName = "gpu" | "lavapipe" | "swiftshader";

/** Tells adapters apart by what they say of themselves. */
export function nameAdapter(info: Pick<GPUAdapterInfo, "architecture" | "device">): AdapterName {
  if (info.architecture === "swiftshader") return "swiftshader";
  if (info.device.startsWith("llvmpipe")) return "lavapipe";
  return "gpu";
}
