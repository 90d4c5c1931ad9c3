import type { KvCache } from "../cache/kv-cache.ts";
import { compressedFixedBytes, fullCacheBytes, shareOf, tableBytes } from "../cache/layout.ts";
import type { BufferAllocator } from "../gpu/buffers.ts";
import type { CacheReport } from "./generate-types.ts";
import type { LayerMemory, MemoryReport } from "./memory-types.ts";

/** The memory report: a view of the ledger, and of the cache's rows. */
export function memoryReport(
  buffers: BufferAllocator,
  cache: KvCache,
  hostBytes: number,
): MemoryReport {
  const { now, peak } = buffers;
  // A destroyed engine holds nothing, and so would one with a full cache.
  const isThere = now.total > 0;
  const full = isThere ? fullCacheBytes(cache.shape, cache.fullTokens) : 0;
  return {
    weights: now.weights,
    kv: {
      tokens: cache.tokens,
      allocated: now.kv,
      full,
      saved: full - now.kv,
      peak: peak.kv,
      layers: isThere ? layerMemory(cache) : [],
    },
    activations: now.activations,
    staging: now.staging,
    uniforms: now.uniforms,
    total: now.total,
    peak: peak.total,
    peaks: peak,
    hostBytes,
  };
}

/** What the policy did with the tokens seen so far. */
export function cacheReport(cache: KvCache, passes: number): CacheReport {
  const { policy, kvDtype } = cache.options;
  const evicted = cache.plan?.evicts ?? false;
  const layers = layerMemory(cache);
  return {
    policy: policy.name,
    kvDtype,
    tokens: cache.tokens,
    evicted,
    passes,
    bytes: layers.reduce((sum, { bytes }) => sum + bytes, 0),
    fullBytes: fullCacheBytes(cache.shape, cache.fullTokens),
    layers,
  };
}

/** The cache as a trace notes it; `tokens` are those that a full cache would hold room for. */
export function cacheSample(
  cache: KvCache,
  tokens: number = cache.fullTokens,
): { tokens: number; fullBytes: number; layers: LayerMemory[] } {
  const fullBytes = fullCacheBytes(cache.shape, tokens);
  return { tokens, fullBytes, layers: layerMemory(cache, tokens) };
}

function layerMemory(cache: KvCache, fullTokens: number = cache.fullTokens): LayerMemory[] {
  const { shape, tokens, options } = cache;
  const fullBytes = fullCacheBytes({ ...shape, numLayers: 1 }, fullTokens);
  const isFull = options.policy.scorer === null;
  const fixed = isFull ? tableBytes(shape) : compressedFixedBytes(shape, options.windowSize);
  return cache.layers().map((layer, l) => {
    const shared = shareOf(fixed, shape.numLayers, l);
    return {
      ...layer,
      budget: layer.budget ?? tokens,
      bytes: layer.bytes + shared,
      fullBytes,
      heads: layer.heads.map((head, h) => ({
        ...head,
        budget: head.budget ?? tokens,
        bytes: head.bytes + shareOf(shared, shape.numKvHeads, h),
      })),
    };
  });
}
