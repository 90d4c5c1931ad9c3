import type { GpuContext } from "../gpu/device.ts";
import { onDemand } from "../on-demand.ts";
import { FullCache } from "./full-cache.ts";
import type { KvCache } from "./kv-cache.ts";
import type { KvShape } from "./layout.ts";
import type { ResolvedCacheOptions } from "./options.ts";

/**
 * The cache that a policy needs, empty; its kernels are compiled. `keepsScores`: `tokenScores` is
 * going to be asked.
 * @throws InvalidOptionError for a byte budget that does not hold the windows of this model; ModuleLoadError.
 */
export async function createCache(
  gpu: GpuContext,
  shape: KvShape,
  options: ResolvedCacheOptions,
  keepsScores: boolean = false,
): Promise<KvCache> {
  if (options.policy.scorer === null) return new FullCache(gpu, shape, options);
  const part = await onDemand("compressed caches", () => import("./create-compressed.ts"));
  return part.createCompressed(gpu, shape, options, keepsScores);
}
