import type { GpuContext } from "../gpu/device.ts";
import type { AdapterSummary } from "./memory-types.ts";

/** What a report says of the GPU. */
export function adapterSummary({ info, features, limits, isSoftware }: GpuContext): AdapterSummary {
  return {
    vendor: info.vendor,
    architecture: info.architecture,
    device: info.device,
    description: info.description,
    isSoftware,
    features: [...features],
    maxBufferSize: limits.maxBufferSize,
    maxStorageBufferBindingSize: limits.maxStorageBufferBindingSize,
    subgroupMinSize: info.subgroupMinSize ?? 0,
    subgroupMaxSize: info.subgroupMaxSize ?? 0,
  };
}
