import type { GpuContext } from "../gpu/device.ts";
import type { Kernel, KernelSpec } from "../gpu/kernel.ts";
import type { BufferBinding, DispatchList, Workgroups } from "../gpu/recorder.ts";
import {
  chooseCompress,
  type CompressKernelName,
  type CompressVariant,
  compressKernels,
  QUERY_ROWS,
  WORKGROUP_SIZE,
} from "./compress-kernels.ts";
import { type KvShape, type ScratchBytes, scoreStride } from "./layout.ts";
import type { ResolvedCacheOptions } from "./options.ts";

/** Keys, values and positions of a layer's rows. */
export interface CompressRows {
  readonly keys: GPUBuffer;
  readonly values: GPUBuffer;
  readonly positions: GPUBuffer;
}

/** One layer's compression. Rows and lengths of the heads are read from the table on the GPU. */
export interface CompressCall {
  readonly layer: number;
  readonly table: GPUBuffer;
  /** The layer's rows before; undefined where it has none. */
  readonly from: CompressRows | undefined;
  /** New rows: head `h` from row `h * newTokens` of the scratch's staged buffers; may be 0. */
  readonly newTokens: number;
  /** Position of the first new row. */
  readonly firstPosition: number;
  /** Most candidates of a head: bounds the grids. */
  readonly candidates: number;
  readonly to: CompressRows;
  /** Rows that the layer keeps per KV head (their mean, where heads differ). */
  readonly rows: number;
  /** Rows that each head gets beside those. */
  readonly spareRows: number;
  /** False: every candidate stays, and nothing is scored. */
  readonly evicts: boolean;
  /** f32 `[layer][windowSize][numHeads][headDim]`. */
  readonly queries: GPUBuffer;
  /** Tokens seen, these ones included: the last window query is that of position `tokens - 1`. */
  readonly tokens: number;
  /** Attention has left max and sum of all window queries in the scratch's stats. */
  readonly hasStats: boolean;
  /** f32 `[layer][numKvHeads]`: the share of the window's attention that the kept rows carry. */
  readonly keptMass: GPUBuffer;
}

/**
 * Buffers that live only while layers are compressed (sizes: layout.ts). In the place of one that
 * needs no bytes stands another one, which nothing reads or writes there.
 */
export interface Scratch {
  readonly stagedKeys: GPUBuffer;
  readonly stagedValues: GPUBuffer;
  readonly stats: GPUBuffer;
  readonly scores: GPUBuffer;
  readonly pooled: GPUBuffer;
  readonly heads: GPUBuffer;
  readonly kept: GPUBuffer;
}

/** Scores, selects and compacts a layer's rows on the GPU. */
export interface Compressor {
  /** Rows are ranked by the window's attention. */
  readonly usesWindow: boolean;
  allocate(bytes: ScratchBytes): Scratch;
  release(scratch: Scratch): void;
  record(list: DispatchList, scratch: Scratch, call: CompressCall): void;
}

/** Compile the kernels that a policy needs. `variant` is chosen by the adapter unless a test does. */
export async function createCompressor(
  gpu: GpuContext,
  shape: KvShape,
  options: ResolvedCacheOptions,
  variant: CompressVariant = chooseCompress(gpu),
): Promise<Compressor> {
  const specs = compressKernels(shape, options, variant);
  const names = Object.keys(specs) as CompressKernelName[];
  const compiled = await Promise.all(
    names.map(async (name) => [name, await gpu.kernels.get(specs[name] as KernelSpec)] as const),
  );
  return new PolicyCompressor(gpu, shape, options, new Map(compiled));
}

type Buffers = Readonly<Record<string, BufferBinding>>;
type Params = Readonly<Record<string, number>>;

/** Most workgroups of a dispatch in one dimension, on every device. */
const MAX_WORKGROUPS = 65535;

const NO_LIMIT = 0xffffffff;

class PolicyCompressor implements Compressor {
  readonly usesWindow: boolean;
  readonly #gpu: GpuContext;
  readonly #shape: KvShape;
  readonly #options: ResolvedCacheOptions;
  readonly #kernels: ReadonlyMap<CompressKernelName, Kernel>;

  constructor(
    gpu: GpuContext,
    shape: KvShape,
    options: ResolvedCacheOptions,
    kernels: ReadonlyMap<CompressKernelName, Kernel>,
  ) {
    this.usesWindow = options.policy.scorer?.kind === "window";
    this.#gpu = gpu;
    this.#shape = shape;
    this.#options = options;
    this.#kernels = kernels;
  }

  allocate(bytes: ScratchBytes): Scratch {
    const create = (label: string, size: number): GPUBuffer =>
      this.#gpu.buffers.create({
        label,
        purpose: "kv",
        bytes: size,
        usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
      });
    const heads = create("heads of a layer", bytes.heads);
    const createOr = (label: string, size: number): GPUBuffer =>
      size > 0 ? create(label, size) : heads;
    return {
      heads,
      stagedKeys: createOr("staged keys", bytes.stagedKeys),
      stagedValues: createOr("staged values", bytes.stagedKeys),
      stats: createOr("window stats", bytes.stats),
      scores: createOr("scores", bytes.scores),
      pooled: createOr("pooled scores", bytes.pooled),
      kept: createOr("kept candidates", bytes.kept),
    };
  }

  release(scratch: Scratch): void {
    for (const buffer of new Set(Object.values(scratch))) this.#gpu.buffers.destroy(buffer);
  }

  record(list: DispatchList, scratch: Scratch, call: CompressCall): void {
    const { numKvHeads } = this.#shape;
    const { heads, kept } = scratch;
    const { table, evicts, rows, spareRows: spare_rows } = call;
    const table_base = call.layer * numKvHeads;
    const score_stride = scoreStride(call.candidates);
    const new_tokens = call.newTokens;
    const isSplit = evicts && this.#options.policy.heads === "adaptive";
    const kept_mass = call.keptMass;
    const ranks = this.usesWindow ? scratch.pooled : scratch.scores;
    if (evicts) this.#score(list, scratch, call);
    if (isSplit) {
      const floor_rows = this.#floorRows(rows);
      const params = { table_base, new_tokens, score_stride, floor_rows };
      const total_rows = rows * numKvHeads;
      this.#run(
        list,
        "split_budget",
        { table, ranks, heads },
        { ...params, total_rows },
        [1, 1, 1],
      );
    }
    const placing = {
      table_base,
      new_tokens,
      spare_rows,
      max_rows: evicts ? rows : NO_LIMIT,
      is_split: Number(isSplit),
      mass: evicts ? 0 : 1,
    };
    this.#run(list, "place_heads", { table, heads, kept_mass }, placing, [1, 1, 1]);
    if (evicts) {
      const params = { new_tokens, score_stride, spare_rows };
      this.#run(list, "select_topk", { heads, ranks, kept }, params, [numKvHeads, 1, 1]);
    }
    if (evicts && this.usesWindow) {
      const buffers = { heads, kept, scores: scratch.scores, kept_mass };
      const params = { table_base, score_stride, spare_rows };
      this.#run(list, "kept_mass", buffers, params, [numKvHeads, 1, 1]);
    }
    const most = isSplit ? rows * numKvHeads : evicts ? rows : NO_LIMIT;
    this.#compact(list, scratch, call, Math.min(most, call.candidates));
  }

  /** Rows that every head keeps where they are split by need: kvpress's safeguard, and the window. */
  #floorRows(rows: number): number {
    const { headFloor, windowSize } = this.#options;
    const safe = headFloor > 0 ? Math.max(Math.floor(rows * headFloor), 1) : 0;
    return Math.min(Math.max(safe, windowSize), rows);
  }

  #score(
    list: DispatchList,
    { scores, pooled, stats, ...scratch }: Scratch,
    call: CompressCall,
  ): void {
    const { numHeads, numKvHeads, headDim } = this.#shape;
    const { policy, windowSize, numSinks } = this.#options;
    const { table, tokens, queries } = call;
    const { keys, staged_keys } = rowBuffers(scratch, call);
    const score_stride = scoreStride(call.candidates);
    const layer = { table_base: call.layer * numKvHeads, new_tokens: call.newTokens };
    const workgroups = Math.ceil(call.candidates / WORKGROUP_SIZE);
    const grid = [workgroups, numKvHeads, 1] as const;
    if (policy.scorer?.kind === "recency") {
      const params = { num_sinks: numSinks, score_stride };
      this.#run(list, "score_recency", { scores }, params, grid);
      return;
    }
    if (policy.scorer?.kind === "key-norm") {
      const buffers = { table, keys, staged_keys, scores };
      this.#run(list, "score_keynorm", buffers, { ...layer, score_stride }, grid);
      return;
    }
    const window_rows = Math.min(windowSize, tokens);
    const params = {
      ...layer,
      window_rows,
      window_size: windowSize,
      first_slot: (tokens - window_rows) % windowSize,
      ring_base: (call.layer * windowSize * numHeads * headDim) / 4,
      octets: headDim / 8,
      scale: 1 / Math.sqrt(headDim),
    };
    const buffers = { table, queries, keys, staged_keys, stats };
    if (!call.hasStats) {
      const queryRows = window_rows * (numHeads / numKvHeads);
      this.#run(list, "score_stats", buffers, params, [
        Math.ceil(queryRows / QUERY_ROWS),
        numKvHeads,
        1,
      ]);
    }
    const windowGrid = policy.scorer?.heads === "all" ? ([workgroups, 1, 1] as const) : grid;
    this.#run(
      list,
      "score_window",
      { ...buffers, scores },
      { ...params, score_stride },
      windowGrid,
    );
    const pooling = { ...layer, window_rows, score_stride };
    this.#run(list, "pool_scores", { table, scores, pooled }, pooling, grid);
  }

  /** Gather the selected rows, at most `mostRows` of a head, and their positions. */
  #compact(list: DispatchList, scratch: Scratch, call: CompressCall, mostRows: number): void {
    const { numKvHeads, headDim } = this.#shape;
    const { heads, kept } = scratch;
    const { to, from } = call;
    const spare_rows = call.spareRows;
    const keeps_all = Number(!call.evicts);
    const workgroups = Math.ceil((mostRows * headDim) / 8 / WORKGROUP_SIZE);
    const x = Math.min(workgroups, MAX_WORKGROUPS);
    this.#run(
      list,
      "compact_kv",
      {
        ...rowBuffers(scratch, call),
        heads,
        kept,
        new_keys: to.keys,
        new_values: to.values,
      },
      { new_tokens: call.newTokens, spare_rows, keeps_all },
      [x, numKvHeads, Math.ceil(workgroups / x)],
    );
    this.#run(
      list,
      "compact_positions",
      { heads, kept, positions: from?.positions ?? kept, new_positions: to.positions },
      { first_position: call.firstPosition, spare_rows, keeps_all },
      [Math.ceil(mostRows / WORKGROUP_SIZE), numKvHeads, 1],
    );
  }

  #run(
    list: DispatchList,
    name: CompressKernelName,
    buffers: Buffers,
    params: Params,
    workgroups: Workgroups,
  ): void {
    const kernel = this.#kernels.get(name);
    if (kernel === undefined) throw new Error(`the policy has no kernel "${name}"`);
    list.run(kernel, buffers, params, workgroups);
  }
}

/** A layer's old rows and its staged ones; one stands in for the other where there are none. */
function rowBuffers(
  { stagedKeys, stagedValues }: Pick<Scratch, "stagedKeys" | "stagedValues">,
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
