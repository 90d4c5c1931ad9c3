import type { BufferBinding, DispatchList, Workgroups } from "../gpu/recorder.ts";
import type { CompressCall, Scratch } from "./compress-call.ts";
import { type CompressKernelName, QUERY_ROWS, WORKGROUP_SIZE } from "./compress-kernels.ts";
import { type KvShape, scoreStride } from "./layout.ts";
import type { ResolvedCacheOptions } from "./options.ts";

/** What is the same for all compressions: the model, the policy, and its kernels. */
export interface CompressContext {
  readonly shape: KvShape;
  readonly options: ResolvedCacheOptions;
  run(
    list: DispatchList,
    kernel: CompressKernelName,
    buffers: Readonly<Record<string, BufferBinding>>,
    params: Readonly<Record<string, number>>,
    workgroups: Workgroups,
  ): void;
}

/** Most workgroups of a dispatch in one dimension, on every device. */
const MAX_WORKGROUPS = 65535;

const NO_LIMIT = 0xffffffff;

/** Leave in the scratch's scores, or pooled scores, how a layer's candidates rank. */
export function recordScores(
  context: CompressContext,
  list: DispatchList,
  scratch: Scratch,
  call: CompressCall,
): void {
  const { shape, options, run } = context;
  const { scorer } = options.policy;
  const { table } = call;
  const { scores } = scratch;
  const { keys, staged_keys } = rowBuffers(scratch, call);
  const score_stride = scoreStride(call.candidates);
  const grid = candidateGrid(context, call);
  if (scorer?.kind === "window") {
    recordWindowScores(context, list, scratch, call);
  } else if (scorer?.kind === "key-norm") {
    const octets = shape.headDim / 8;
    const params = { ...layerParams(shape, call), score_stride, octets };
    run(list, "score_keynorm", { table, keys, staged_keys, scores }, params, grid);
  } else {
    run(list, "score_recency", { scores }, { num_sinks: options.numSinks, score_stride }, grid);
  }
}

function recordWindowScores(
  context: CompressContext,
  list: DispatchList,
  scratch: Scratch,
  call: CompressCall,
): void {
  const { shape, options, run } = context;
  const { numHeads, numKvHeads, headDim } = shape;
  const { windowSize, policy } = options;
  const { table, queries, tokens } = call;
  const { stats, scores, pooled } = scratch;
  const { keys, staged_keys } = rowBuffers(scratch, call);
  const score_stride = scoreStride(call.candidates);
  const window_rows = Math.min(windowSize, tokens);
  const layer = layerParams(shape, call);
  const buffers = { table, queries, keys, staged_keys, stats };
  const params = {
    ...layer,
    window_rows,
    window_size: windowSize,
    first_slot: (tokens - window_rows) % windowSize,
    ring_base: (call.layer * windowSize * numHeads * headDim) / 4,
    octets: headDim / 8,
    scale: 1 / Math.sqrt(headDim),
  };
  if (!call.hasStats) {
    const blocks = Math.ceil((window_rows * numHeads) / numKvHeads / QUERY_ROWS);
    run(list, "score_stats", buffers, params, [blocks, numKvHeads, 1]);
  }
  const grid = candidateGrid(context, call);
  const forAll = policy.scorer?.kind === "window" && policy.scorer.heads === "all";
  run(list, "score_window", { ...buffers, scores }, { ...params, score_stride }, [
    grid[0],
    forAll ? 1 : numKvHeads,
    1,
  ]);
  const pooling = { ...layer, window_rows, score_stride };
  run(list, "pool_scores", { table, scores, pooled }, pooling, grid);
}

/** Decide how many rows each head keeps and where they go, and select them: table, heads, kept. */
export function recordSelection(
  { shape, options, run }: CompressContext,
  list: DispatchList,
  { heads, kept, scores, pooled }: Scratch,
  call: CompressCall,
): void {
  const { numKvHeads } = shape;
  const { evicts, rows, table, keptMass: kept_mass, spareRows: spare_rows } = call;
  const { table_base, new_tokens } = layerParams(shape, call);
  const score_stride = scoreStride(call.candidates);
  const usesWindow = options.policy.scorer?.kind === "window";
  const ranks = usesWindow ? pooled : scores;
  const isSplit = splits(options, call);
  const layer = { table_base, num_kv_heads: numKvHeads, new_tokens };
  if (isSplit) {
    const total_rows = rows * numKvHeads;
    const floor_rows = floorRows(options, rows);
    const params = { ...layer, score_stride, total_rows, floor_rows };
    run(list, "split_budget", { table, ranks, heads }, params, [1, 1, 1]);
  }
  const placing = {
    ...layer,
    spare_rows,
    max_rows: evicts ? rows : NO_LIMIT,
    is_split: Number(isSplit),
    mass: evicts ? 0 : 1,
  };
  run(list, "place_heads", { table, heads, kept_mass }, placing, [1, 1, 1]);
  if (!evicts) return;
  const selecting = { new_tokens, score_stride, spare_rows };
  run(list, "select_topk", { heads, ranks, kept }, selecting, [numKvHeads, 1, 1]);
  if (!usesWindow) return;
  const measuring = { table_base, score_stride, spare_rows };
  run(list, "kept_mass", { heads, kept, scores, kept_mass }, measuring, [numKvHeads, 1, 1]);
}

/** Gather the selected rows and their positions. */
export function recordCompaction(
  { shape, options, run }: CompressContext,
  list: DispatchList,
  scratch: Scratch,
  call: CompressCall,
): void {
  const { numKvHeads, headDim } = shape;
  const { heads, kept } = scratch;
  const { to, from, evicts, rows, newTokens: new_tokens, spareRows: spare_rows } = call;
  const keeps_all = Number(!evicts);
  const most = splits(options, call) ? rows * numKvHeads : evicts ? rows : NO_LIMIT;
  const mostRows = Math.min(most, call.candidates);
  const workgroups = Math.ceil((mostRows * headDim) / 8 / WORKGROUP_SIZE);
  const x = Math.min(workgroups, MAX_WORKGROUPS);
  run(
    list,
    "compact_kv",
    { ...rowBuffers(scratch, call), heads, kept, new_keys: to.keys, new_values: to.values },
    { new_tokens, spare_rows, keeps_all },
    [x, numKvHeads, Math.ceil(workgroups / x)],
  );
  run(
    list,
    "compact_positions",
    { heads, kept, positions: from?.positions ?? kept, new_positions: to.positions },
    { first_position: call.firstPosition, spare_rows, keeps_all },
    [Math.ceil(mostRows / WORKGROUP_SIZE), numKvHeads, 1],
  );
}

function layerParams(
  { numKvHeads }: KvShape,
  { layer, newTokens }: CompressCall,
): { readonly table_base: number; readonly new_tokens: number } {
  return { table_base: layer * numKvHeads, new_tokens: newTokens };
}

/** A thread for each candidate of each head. */
function candidateGrid({ shape }: CompressContext, { candidates }: CompressCall): Workgroups {
  return [Math.ceil(candidates / WORKGROUP_SIZE), shape.numKvHeads, 1];
}

/** The layer's rows are shared out among its heads by need. */
function splits({ policy }: ResolvedCacheOptions, { evicts }: CompressCall): boolean {
  return evicts && policy.heads === "adaptive";
}

/** Rows that every head keeps where they are shared out: kvpress's safeguard, and the window. */
function floorRows({ headFloor, windowSize }: ResolvedCacheOptions, rows: number): number {
  const safe = headFloor > 0 ? Math.max(Math.floor(rows * headFloor), 1) : 0;
  return Math.min(Math.max(safe, windowSize), rows);
}

/** A layer's old rows and its staged ones; one stands in for the other where there are none. */
function rowBuffers(
  { stagedKeys, stagedValues }: Scratch,
  { from, newTokens }: CompressCall,
): Record<"keys" | "values" | "staged_keys" | "staged_values", GPUBuffer> {
  const staged = newTokens > 0 ? { keys: stagedKeys, values: stagedValues } : from;
  const old = from ?? staged;
  if (staged === undefined || old === undefined) throw new Error("there are no rows to compress");
  return {
    keys: old.keys,
    values: old.values,
    staged_keys: staged.keys,
    staged_values: staged.values,
  };
}
