import { isSoftwareAdapter, NEEDED_LIMITS } from "../src/index.ts";
import { describeDevice } from "./diagnostics.ts";

/** Why nothing can run here. */
export type DeviceProblem = "insecure-context" | "no-webgpu" | "no-adapter" | "limits";

/** A limit of the adapter that is under what the kernels need. */
export interface Shortfall {
  readonly limit: string;
  readonly needed: number;
  readonly offered: number;
}

/** What this browser and its GPU can do for the page. */
export interface DeviceCheck {
  readonly problem: DeviceProblem | undefined;
  readonly shortfalls: readonly Shortfall[];
  /** It works, but on the processor. */
  readonly isSoftware: boolean;
  /** The GPU in words, where there is one. */
  readonly gpuName: string;
  /** Everything that a bug report needs, as text to copy. */
  readonly diagnostics: string;
}

/** Look at the page's context, WebGPU and its adapter; asks for no device and allocates nothing. */
export async function checkDevice(): Promise<DeviceCheck> {
  const none = { shortfalls: [], isSoftware: false, gpuName: "" };
  const without = (problem: DeviceProblem, detail?: string): DeviceCheck => ({
    ...none,
    problem,
    diagnostics: describeDevice(problem, undefined, detail),
  });
  if (!globalThis.isSecureContext) return without("insecure-context");
  // Typed as always there, but older browsers lack it.
  const gpu: GPU | undefined = navigator.gpu;
  if (gpu === undefined) return without("no-webgpu");
  let adapter: GPUAdapter | null;
  try {
    adapter = await gpu.requestAdapter({ powerPreference: "high-performance" });
  } catch (error) {
    return without("no-adapter", String(error));
  }
  if (adapter === null) return without("no-adapter");
  const shortfalls = findShortfalls(adapter.limits);
  const problem = shortfalls.length > 0 ? "limits" : undefined;
  return {
    problem,
    shortfalls,
    isSoftware: isSoftwareAdapter(adapter.info),
    gpuName: gpuName(adapter.info),
    diagnostics: describeDevice(problem ?? "none", adapter),
  };
}

function findShortfalls(limits: GPUSupportedLimits): Shortfall[] {
  return Object.entries(NEEDED_LIMITS).flatMap(([limit, needed]) => {
    const offered = limits[limit as keyof typeof NEEDED_LIMITS];
    return offered < needed ? [{ limit, needed, offered }] : [];
  });
}

/** Browsers fill in what they like: the description where there is one, else vendor and kind. */
function gpuName(info: GPUAdapterInfo): string {
  const name = info.description || [info.vendor, info.architecture].filter(Boolean).join(" ");
  return name || "GPU without a name";
}
