import type { CacheState } from "./cache-state.ts";
import type { CompressionParts } from "./compression.ts";
import type { HeadRows, LayerRows } from "./kv-cache.ts";
import { compressedRowBytes } from "./layout.ts";
import type { CachePlan } from "./scheduler.ts";
import { mostCapacity, mostLength, type TableEntry } from "./table.ts";

/** What the report of one layer is made of. */
interface LayerFacts {
  readonly heads: readonly TableEntry[];
  /** Rows per head that the policy allows; undefined before the first prefill. */
  readonly budget: number | undefined;
  /** Where heads share the layer's rows out by need: spare rows of each, beside its own budget. */
  readonly spareRows: number | undefined;
  /** Rows allocated for all heads together. */
  readonly rows: number;
  readonly rowBytes: number;
  readonly keptMass: readonly number[];
}

/** Rows and bytes of a layer, and of each of its heads. */
function layerRows(facts: LayerFacts): LayerRows {
  const { heads, budget, spareRows, rows, rowBytes, keptMass } = facts;
  return {
    budget,
    length: mostLength(heads),
    capacity: mostCapacity(heads),
    bytes: rows * rowBytes,
    heads: heads.map(([, length, capacity]): HeadRows => {
      const share = spareRows === undefined ? budget : capacity - spareRows;
      return { budget: share, length, capacity, bytes: capacity * rowBytes };
    }),
    keptMass,
  };
}

/** A layer as the last compression left it, and as decode has appended to it. */
export function keptLayerRows(
  { shape, options, compressor, rows }: CompressionParts,
  { plan, mass }: CacheState,
  layer: number,
): LayerRows {
  const { numKvHeads } = shape;
  const heads = rows.heads(layer);
  const splits = plan?.evicts === true && options.policy.heads === "adaptive";
  const isMeasured = compressor.usesWindow || plan?.evicts !== true;
  return layerRows({
    heads,
    budget: plan?.budgets[layer],
    spareRows: splits ? plan.spareRows : undefined,
    rows: rows.rows(layer),
    rowBytes: compressedRowBytes(shape),
    keptMass: isMeasured ? heads.map((_head, h) => mass[layer * numKvHeads + h] ?? 1) : [],
  });
}

/**
 * A layer that a prefill in work has compressed. Where heads share rows by need it has their mean
 * until the GPU has told what it decided: `known`.
 */
export function newLayerRows(
  { shape, rows }: CompressionParts,
  plan: CachePlan,
  layer: number,
  known: readonly TableEntry[] | undefined,
): LayerRows {
  const planned: TableEntry = [0, plan.rows[layer] as number, plan.capacities[layer] as number];
  return layerRows({
    heads: known ?? Array.from({ length: shape.numKvHeads }, () => planned),
    budget: plan.budgets[layer],
    spareRows: known === undefined ? undefined : plan.spareRows,
    rows: rows.rows(layer),
    rowBytes: compressedRowBytes(shape),
    keptMass: [],
  });
}
