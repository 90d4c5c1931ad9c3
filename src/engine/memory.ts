import { fullCacheBytes, type KvCache, kvRowBytes } from "../cache/kv-cache.ts";
import type { BufferAllocator } from "../gpu/buffers.ts";
import type { LayerMemory, MemoryReport } from "./types.ts";

/** The memory report: a view of the ledger, and of the cache's rows. */
export function memoryReport(buffers: BufferAllocator, cache: KvCache): MemoryReport {
  const { now, peak } = buffers;
  const full = fullCacheBytes(cache.shape, cache.length);
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

function layerMemory({ shape, capacity, length }: KvCache): LayerMemory[] {
  const bytes = 2 * shape.numKvHeads * capacity * kvRowBytes(shape);
  return Array.from({ length: shape.numLayers }, () => ({ capacity, length, bytes }));
}
