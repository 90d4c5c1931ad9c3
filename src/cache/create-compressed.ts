import type { GpuContext } from "../gpu/device.ts";
import { CompressedCache } from "./compressed-cache.ts";
import { createCompressor } from "./compressor.ts";
import type { KvShape } from "./layout.ts";
import type { ResolvedCacheOptions } from "./options.ts";
import { checkBudget } from "./scheduler.ts";

/** A cache whose policy evicts, empty; see `createCache`. @throws InvalidOptionError */
export async function createCompressed(
  gpu: GpuContext,
  shape: KvShape,
  options: ResolvedCacheOptions,
  keepsScores: boolean,
): Promise<CompressedCache> {
  checkBudget(shape, options);
  const compressor = await createCompressor(gpu, shape, options);
  return new CompressedCache(gpu, shape, options, compressor, keepsScores);
}
