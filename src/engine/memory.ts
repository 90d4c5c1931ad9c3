import { fullCacheBytes, type KvCache, kvRowBytes } from "../cache/kv-cache.ts";
import type { BufferAllocator } from "../gpu/buffers.ts";
import type { LayerMemory, MemoryReport } from "./types.ts";

/** The memory report: a view of the ledger, and of the cache's rows. */
export function memoryReport(buffers: BufferAllocator, cache: KvCache): MemoryReport {
  const { now, peak } = buffers;
  const tokens = Math.max(cache.length, cache.reserved);
  const full = now.total === 0 ? 0 : fullCacheBytes(cache.shape, tokens);
  return {
    weights: now.weights,
    kv: {
      allocated: now.kv,
      full,
      saved: full - now.kv,
      peak: peak.kv,
      layers: layerMemory(cache),
    },
    activations: now.activations,
    staging: now.staging,
    uniforms: now.uniforms,
    total: now.total,
    peak: peak.total,
    peaks: peak,
  };
}

function layerMemory(cache: KvCache): LayerMemory[] {
  const { numLayers, numKvHeads } = cache.shape;
  return Array.from({ length: numLayers }, (_, layer) => {
    const capacity = cache.capacity === 0 ? 0 : cache.layer(layer).capacity;
    const bytes = 2 * numKvHeads * capacity * kvRowBytes(cache.shape);
    return { capacity, length: cache.length, bytes };
  });
}
