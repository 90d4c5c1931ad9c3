import type { GpuContext } from "../gpu/device.ts";
import { CompressedCache } from "./compressed-cache.ts";
import { createCompressor } from "./compressor.ts";
import { FullCache } from "./full-cache.ts";
import type { KvCache } from "./kv-cache.ts";
import type { KvShape } from "./layout.ts";
import type { ResolvedCacheOptions } from "./options.ts";
import { checkBudget } from "./scheduler.ts";

/**
 * The cache that a policy needs, empty; its kernels are compiled. `keepsScores`: `tokenScores` is
 * going to be asked.
 * @throws InvalidOptionError for a byte budget that does not hold the windows of this model.
 */
export async function createCache(
  gpu: GpuContext,
  shape: KvShape,
  options: ResolvedCacheOptions,
  keepsScores: boolean = false,
): Promise<KvCache> {
  if (options.policy.scorer === null) return new FullCache(gpu, shape, options);
  checkBudget(shape, options);
  const compressor = await createCompressor(gpu, shape, options);
  return new CompressedCache(gpu, shape, options, compressor, keepsScores);
}
