import { InvalidOptionError } from "../errors.ts";
import { uniformBudgets } from "./budget.ts";
import {
  compressedFixedBytes,
  compressedRowBytes,
  fullCacheBytes,
  fullCapacity,
  type KvShape,
  kvRowBytes,
  NO_SCRATCH,
  type ScratchBytes,
  scratchBytes,
  spareRows,
  tableBytes,
  totalScratchBytes,
} from "./layout.ts";
import type { ResolvedCacheOptions } from "./options.ts";

/** What a plan is made for. */
export interface PlanInput {
  /** Tokens that a share budget is a share of: the prompt, all turns together. */
  readonly promptTokens: number;
  /** Tokens seen when the compression runs: those kept or evicted before, and the new ones. */
  readonly tokens: number;
  /** Tokens of this forward that are new; 0 where decode compresses again. */
  readonly newTokens: number;
  /** Rows per KV head that each layer holds before: all 0 for a first prompt. */
  readonly lengths: readonly number[];
  /** Rows per KV head allocated before. */
  readonly capacities: readonly number[];
  /** Rows of the longest head of all; more than the mean where heads differ. */
  readonly longest: number;
  /** False: every row stays, whatever the budget; spare rows are used up before there are more. */
  readonly evict: boolean;
}

/** What a compression does to each layer, and what it costs. */
export interface CachePlan {
  /** Rows per KV head that the policy allows each layer, window included. */
  readonly budgets: readonly number[];
  /** Rows per KV head that each layer keeps: its budget, or all that there are. */
  readonly rows: readonly number[];
  /** Rows per KV head allocated: `rows` and the spare ones. */
  readonly capacities: readonly number[];
  readonly spareRows: number;
  /** Some layer has more rows than its budget. False: everything is kept. */
  readonly evicts: boolean;
  /** Buffers that exist while it runs. */
  readonly scratch: ScratchBytes;
  /** Bytes of the cache afterwards, at the highest point on the way, and of a full cache. */
  readonly bytes: { readonly final: number; readonly peak: number; readonly full: number };
}

/**
 * Plan a compression: pure arithmetic, the same that the runtime allocates by, so that a plan and
 * the ledger agree to the byte.
 * @throws InvalidOptionError for a byte budget that does not even hold the windows.
 */
export function planCache(
  shape: KvShape,
  options: ResolvedCacheOptions,
  input: PlanInput,
): CachePlan {
  if (options.policy.scorer === null) return planFull(shape, input);
  // Every head has as many rows to spare.
  const left = (input.capacities[0] as number) - (input.lengths[0] as number) - input.newTokens;
  const spare = input.evict ? spareRows(options.windowSize) : Math.max(left, 0);
  const budgets = layerBudgets(shape, options, input);
  const candidates = input.lengths.map((length) => length + input.newTokens);
  const rows = candidates.map((all, l) =>
    input.evict ? Math.min(budgets[l] as number, all) : all,
  );
  const capacities = rows.map((kept) => kept + spare);
  const evicts = rows.some((kept, l) => kept < (candidates[l] as number));
  const layerBytes = (capacity: number): number =>
    shape.numKvHeads * capacity * compressedRowBytes(shape);
  const fixed = compressedFixedBytes(shape, options.windowSize);
  const scratch = scratchBytes(shape, {
    newTokens: input.newTokens,
    candidates: input.longest + input.newTokens,
    layerRows: shape.numKvHeads * Math.max(...rows),
    windowSize: options.windowSize,
    pools: options.policy.scorer.kind === "window",
  });
  let now =
    fixed +
    totalScratchBytes(scratch) +
    input.capacities.reduce((sum, c) => sum + layerBytes(c), 0);
  let peak = now;
  capacities.forEach((capacity, layer) => {
    now += layerBytes(capacity);
    peak = Math.max(peak, now); // the old region and the new one exist side by side
    now -= layerBytes(input.capacities[layer] as number);
  });
  const full = fullCacheBytes(shape, input.tokens);
  return {
    budgets,
    rows,
    capacities,
    spareRows: spare,
    evicts,
    scratch,
    bytes: { final: now - totalScratchBytes(scratch), peak, full },
  };
}

function planFull(shape: KvShape, { tokens, newTokens, capacities }: PlanInput): CachePlan {
  const before = capacities[0] ?? 0;
  const after = Math.max(before, fullCapacity(tokens));
  const layer = 2 * shape.numKvHeads * kvRowBytes(shape);
  const final = tableBytes(shape) + shape.numLayers * layer * after;
  const growing = after > before && before > 0;
  const rows = Array<number>(shape.numLayers).fill(tokens);
  return {
    budgets: rows,
    rows,
    capacities: rows.map(() => after),
    spareRows: after - tokens,
    evicts: false,
    scratch: NO_SCRATCH,
    bytes: {
      final,
      peak: growing && newTokens >= 0 ? final + layer * before : final,
      full: fullCacheBytes(shape, tokens),
    },
  };
}

function layerBudgets(shape: KvShape, options: ResolvedCacheOptions, input: PlanInput): number[] {
  const { policy, layerBudgets: given, windowSize } = options;
  // Of a prompt that is read in several passes only the first tokens were seen: its budgets are for all.
  const tokens = Math.max(input.promptTokens, input.tokens);
  if (given !== undefined) return given.map((rows) => Math.min(rows, tokens));
  const totalRows = rowsToSpend(shape, options, input.promptTokens);
  const all = { numLayers: shape.numLayers, tokens, totalRows, windowSize };
  return (totalRows < shape.numLayers * tokens ? policy.budgets : uniformBudgets)(all, options);
}

/** @throws InvalidOptionError for a byte budget that does not even hold the windows, whatever the prompt. */
export function checkBudget(shape: KvShape, options: ResolvedCacheOptions): void {
  if (options.layerBudgets === undefined) rowsToSpend(shape, options, 0);
}

/** Rows per KV head of all layers together that the budget buys. */
function rowsToSpend(
  shape: KvShape,
  { budget, windowSize, policy, numSinks }: ResolvedCacheOptions,
  promptTokens: number,
): number {
  const { numLayers, numKvHeads } = shape;
  const least =
    numLayers * (Math.max(windowSize, policy.scorer?.kind === "recency" ? numSinks : 0) + 1);
  if (budget.unit === "tokens") return numLayers * budget.tokens;
  // A share of a short prompt is lifted to what the window needs; the plan shows it.
  if (budget.unit === "share") {
    return Math.max(Math.round(numLayers * budget.share * promptTokens), least);
  }
  const perRow = numKvHeads * compressedRowBytes(shape);
  const spare = numLayers * spareRows(windowSize) * perRow;
  const fixed = compressedFixedBytes(shape, windowSize) + spare;
  const rows = Math.floor((budget.bytes - fixed) / perRow);
  if (rows < least) {
    const needed = fixed + least * perRow;
    const rule = `at least ${needed} bytes: the windows, spare rows, tables and query ring`;
    throw new InvalidOptionError("budget", `${budget.bytes} bytes`, rule);
  }
  return rows;
}
