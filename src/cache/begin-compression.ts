import { Compression, type CompressionParts } from "./compression.ts";
import { type CachePlan, planCache } from "./scheduler.ts";
import { mostLength } from "./table.ts";

/** What is to be compressed. */
export interface CompressionRequest {
  /** Tokens seen before. */
  readonly seenTokens: number;
  /** Tokens whose rows will be staged; 0 where decode compresses again. */
  readonly newTokens: number;
  /** Tokens that a share budget is a share of. */
  readonly promptTokens: number;
  /** False: every row stays, whatever the budget. */
  readonly evict: boolean;
}

/**
 * Plan a compression of the rows that a cache has, and allocate what it needs. `saveRows` is called
 * if it is going to evict any.
 * @throws GpuOutOfMemoryError; InvalidOptionError for a byte budget that does not hold the windows.
 */
export async function beginCompression(
  parts: CompressionParts,
  request: CompressionRequest,
  saveRows: () => Promise<void>,
): Promise<Compression> {
  const { gpu, compressor } = parts;
  const { seenTokens, newTokens } = request;
  const plan = planRows(parts, request);
  if (plan.evicts) await saveRows();
  const scratch = await gpu.allocating("rows to compress", plan.bytes.peak, () =>
    compressor.allocate(plan.scratch),
  );
  return new Compression(parts, { plan, scratch, seenTokens, newTokens });
}

function planRows(
  { shape, options, rows }: CompressionParts,
  { seenTokens, newTokens, promptTokens, evict }: CompressionRequest,
): CachePlan {
  const { numLayers, numKvHeads } = shape;
  const layers = Array.from({ length: numLayers }, (_, layer) => layer);
  const lengths = layers.map((layer) =>
    rows.heads(layer).reduce((sum, [, length]) => sum + length, 0),
  );
  return planCache(shape, options, {
    promptTokens,
    tokens: seenTokens + newTokens,
    newTokens,
    lengths: lengths.map((sum) => sum / numKvHeads),
    capacities: layers.map((layer) => rows.rows(layer) / numKvHeads),
    longest: mostLength(rows.entries),
    evict,
  });
}
