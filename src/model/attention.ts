import type { RowTracking } from "../cache/kv-cache.ts";
import { UnsupportedModelError } from "../errors.ts";
import type { GpuContext } from "../gpu/device.ts";
import type { Kernel } from "../gpu/kernel.ts";
import type { BufferBinding, DispatchList } from "../gpu/recorder.ts";
import type {
  AttentionBuffers,
  AttentionStats,
  PrefillChunk,
  StagedRows,
} from "./attention-buffers.ts";
import {
  type AttentionKernelSpecs,
  type AttentionShape,
  type AttentionVariant,
  attentionKernels,
  decodeHeads,
  decodeLoops,
  prefillQueries,
} from "./attention-variants.ts";
import { ropeTurns } from "./rope.ts";

type AttentionKernels = Readonly<Record<keyof AttentionKernelSpecs, Kernel>>;

/** The attention kernels of one model shape on one device. */
export class Attention {
  readonly #gpu: GpuContext;
  readonly #shape: AttentionShape;
  readonly #variant: AttentionVariant;
  readonly #kernels: AttentionKernels;
  readonly #ropeTurns: GPUBuffer;
  readonly #noStats: GPUBuffer;
  readonly #partialOut: GPUBuffer;
  readonly #partialStats: GPUBuffer;

  private constructor(
    gpu: GpuContext,
    shape: AttentionShape,
    variant: AttentionVariant,
    kernels: AttentionKernels,
  ) {
    const { numHeads, headDim, ropeFrequencies } = shape;
    this.#gpu = gpu;
    this.#shape = shape;
    this.#variant = variant;
    this.#kernels = kernels;
    const create = (label: string, words: number): GPUBuffer =>
      gpu.buffers.create({
        label: `attention ${label}`,
        purpose: "activations",
        bytes: words * 4,
        usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST,
      });
    this.#ropeTurns = create("rope turns", 2 * ropeFrequencies.length);
    gpu.device.queue.writeBuffer(this.#ropeTurns, 0, ropeTurns(ropeFrequencies));
    this.#noStats = create("no stats", 2);
    this.#partialOut = create("split outputs", numHeads * variant.maxSplits * headDim);
    this.#partialStats = create("split stats", numHeads * variant.maxSplits * 2);
  }

  /**
   * Compile the kernels of a variant.
   * @throws UnsupportedModelError for a number of rotated dimensions that the kernel can't pair up.
   */
  static async create(
    gpu: GpuContext,
    shape: AttentionShape,
    variant: AttentionVariant,
  ): Promise<Attention> {
    const ropeDim = 2 * shape.ropeFrequencies.length;
    if (ropeDim % 16 !== 0 || ropeDim > shape.headDim) {
      throw new UnsupportedModelError(`RoPE over ${ropeDim} of ${shape.headDim} dimensions`, [
        "multiples of 16 up to the head size",
      ]);
    }
    const specs = attentionKernels(shape, variant);
    const [ropeAppend, ropeTrack, prefill, decode, merge] = await Promise.all([
      gpu.kernels.get(specs.ropeAppend),
      gpu.kernels.get(specs.ropeTrack),
      gpu.kernels.get(specs.prefill),
      gpu.kernels.get(specs.decode),
      gpu.kernels.get(specs.merge),
    ]);
    const kernels = { ropeAppend, ropeTrack, prefill, decode, merge };
    return new Attention(gpu, shape, variant, kernels);
  }

  /** Decode: rotate the token's queries; rotate and store its key and value after each head's rows. */
  appendDecoded(
    list: DispatchList,
    { table, qkv, keys, values }: Omit<AttentionBuffers, "out">,
    state: BufferBinding,
    tableBase: number,
    track?: RowTracking,
  ): void {
    const row = { staged_offset: 0, staged_stride: 0, staged_rows: 0 };
    const params = { table_base: tableBase, to_table: 1, start: 0, ...row };
    this.#ropeAppend(list, { table, qkv, keys, values, state }, 1, params, track);
  }

  /** Prefill: rotate the chunk's queries; rotate and store its keys and values as staged rows. */
  appendStaged(
    list: DispatchList,
    { table, qkv }: Pick<AttentionBuffers, "table" | "qkv">,
    state: BufferBinding,
    { keys, values, offset, stride, rows }: StagedRows,
    { tableBase, start, tokens }: PrefillChunk,
    track?: RowTracking,
  ): void {
    const row = { staged_offset: offset, staged_stride: stride, staged_rows: rows };
    const params = { table_base: tableBase, to_table: 0, start, ...row };
    this.#ropeAppend(list, { table, qkv, keys, values, state }, tokens, params, track);
  }

  #ropeAppend(
    list: DispatchList,
    buffers: Readonly<Record<string, BufferBinding>>,
    tokens: number,
    params: Readonly<Record<string, number>>,
    track?: RowTracking,
  ): void {
    const { numHeads, numKvHeads, headDim } = this.#shape;
    const threads = ((numHeads + 2 * numKvHeads) * headDim) / 16;
    const bound = { ...buffers, rope_turns: this.#ropeTurns };
    const workgroups = [Math.ceil(threads / 64), tokens, 1] as const;
    if (track === undefined) {
      list.run(this.#kernels.ropeAppend, bound, params, workgroups);
      return;
    }
    const { queries, layer, windowSize, from, positions = this.#noStats } = track;
    const tracked = {
      ...params,
      ring_base: (layer * windowSize * numHeads * headDim) / 4,
      window_size: windowSize,
      track_from: from,
    };
    list.run(this.#kernels.ropeTrack, { ...bound, queries, positions }, tracked, workgroups);
  }

  /**
   * Causal attention of a chunk whose keys and values are staged already, over the kept rows of
   * each head and the staged ones. `keptRows` is the most that a head keeps, to bound the work of
   * one dispatch. `stats` are written only for the queries from `stats.from` on.
   */
  prefill(
    list: DispatchList,
    { table, qkv, keys, values, out }: AttentionBuffers,
    staged: StagedRows,
    { tableBase, start, tokens }: PrefillChunk,
    keptRows: number,
    stats?: AttentionStats,
  ): void {
    const { numHeads, numKvHeads, headDim } = this.#shape;
    const queriesPerKvHead = numHeads / numKvHeads;
    const tokenWork = 2 * numHeads * headDim * (keptRows + start + tokens);
    const step = Math.max(1, Math.floor(this.#variant.maxDispatchWork / tokenWork));
    const buffers = {
      table,
      qkv,
      keys,
      values,
      staged_keys: staged.keys,
      staged_values: staged.values,
      out,
      stats: stats?.buffer ?? this.#noStats,
    };
    for (let begin = 0; begin < tokens; begin += step) {
      const end = Math.min(begin + step, tokens);
      const rows = (end - begin) * queriesPerKvHead;
      const params = {
        table_base: tableBase,
        token_begin: begin,
        token_end: end,
        start,
        staged_offset: staged.offset,
        staged_stride: staged.stride,
        stats_from: stats?.from ?? 0xffffffff,
        scale: 1 / Math.sqrt(headDim),
        ...(this.#variant.lanes === 0 ? {} : { words: headDim / 4 }),
      };
      const workgroups = Math.ceil(rows / prefillQueries(this.#shape, this.#variant));
      list.run(this.#kernels.prefill, buffers, params, [workgroups, numKvHeads, 1]);
    }
  }

  /**
   * Attention of one decoded token, whose key and value are appended already, over the length + 1
   * rows of each head. `capacity` is the most rows that a head of the layer can have. The rows of a
   * split don't depend on the length, so that neither do the roundings of a sum.
   */
  decode(
    list: DispatchList,
    { table, qkv, keys, values, out }: AttentionBuffers,
    tableBase: number,
    capacity: number,
  ): void {
    const { numHeads, headDim } = this.#shape;
    const { lanes, minSplitRows, maxSplits } = this.#variant;
    let splitRows = minSplitRows;
    while (splitRows * maxSplits < capacity) splitRows *= 2;
    const splits = Math.ceil(capacity / splitRows);
    const params = {
      table_base: tableBase,
      splits,
      split_rows: splitRows,
      scale: 1 / Math.sqrt(headDim),
      ...(lanes === 0 ? {} : decodeLoops(this.#shape, lanes)),
    };
    const partial_out = splits === 1 ? out : this.#partialOut;
    const partial_stats = this.#partialStats;
    list.run(
      this.#kernels.decode,
      { table, qkv, keys, values, partial_out, partial_stats },
      params,
      [splits, numHeads / decodeHeads(this.#shape), 1],
    );
    if (splits === 1) return;
    const workgroups = Math.ceil((numHeads * headDim) / 4 / 64);
    list.run(this.#kernels.merge, { partial_out, partial_stats, out }, { splits }, [
      workgroups,
      1,
      1,
    ]);
  }

  destroy(): void {
    for (const buffer of [this.#ropeTurns, this.#noStats, this.#partialOut, this.#partialStats]) {
      this.#gpu.buffers.destroy(buffer);
    }
  }
}
