import type { KvDtype } from "../../src/cache/layout.ts";
import type { GpuContext } from "../../src/gpu/device.ts";
import { Recorder } from "../../src/gpu/recorder.ts";
import { Attention } from "../../src/model/attention.ts";
import { broadcastSize } from "../../src/model/linear-choice.ts";
import type { AttentionShape, AttentionVariant } from "../../src/model/attention-variants.ts";
import type { Tolerance } from "../expect-close.ts";
import { expectClose, seededRandom } from "../gpu.ts";
import { type Rows, attendDecode, attendPrefill } from "../reference/attention.ts";
import { readFloats, storageBuffer } from "./buffers.ts";
import { asStored, packRows } from "./kv-rows.ts";

/** A head layout to test: the kernels are compiled for it. */
export interface HeadLayout {
  readonly numHeads: number;
  readonly numKvHeads: number;
  readonly headDim: number;
  readonly kvDtype: KvDtype;
}

export interface PrefillCase {
  /** Rows that each KV head keeps from before. */
  readonly kept: readonly number[];
  readonly start: number;
  readonly tokens: number;
  /** By default none are wanted. */
  readonly statsFrom?: number;
  /** Multiplies the queries, and so the logits. */
  readonly gain?: number;
  /** Kept and staged rows in one buffer, as policy `full` has it; needs equal `kept`. */
  readonly oneBuffer?: boolean;
}

export interface DecodeCase {
  /** Rows that each KV head has before this token. */
  readonly lengths: readonly number[];
  readonly capacity: number;
  readonly gain?: number;
}

/** Weights are as wrong as their logits, which are gain times as large. */
const tolerance = (gain: number): Tolerance => ({ atol: 3e-6 + 1e-6 * gain, rtol: 1e-5 });

/** Marks what a kernel must not touch. */
const UNTOUCHED = -77;

const TABLE_BASE = 2;

/** The variants that an adapter can run, made to split even small cases. */
export function attentionVariants(gpu: GpuContext): AttentionVariant[] {
  const limits = { maxQueries: 8, minSplitRows: 64, maxSplits: 16, maxDispatchWork: 2 ** 20 };
  const lanes = new Set([0, broadcastSize(gpu)] as const);
  return [...lanes].map((size) => ({ lanes: size, ...limits }));
}

/** The kernels of a head layout. */
export function openAttention(
  gpu: GpuContext,
  layout: HeadLayout,
  variant: AttentionVariant,
): Promise<Attention> {
  const shape: AttentionShape = {
    ...layout,
    ropeStyle: "half",
    ropeFrequencies: new Float32Array(layout.headDim / 2),
  };
  return Attention.create(gpu, shape, variant);
}

/** Random rows for heads with these capacities, one head after the other with a gap of rows. */
function randomRows(rows: number, { headDim, kvDtype }: HeadLayout, seed: number): Rows {
  const random = seededRandom(seed);
  return {
    keys: asStored(random.normals(rows * headDim), kvDtype),
    values: asStored(random.normals(rows * headDim), kvDtype),
  };
}

function tableOf(offsets: readonly number[], lengths: readonly number[], capacity: number[]) {
  const entries = offsets.flatMap((offset, i) => [offset, lengths[i], capacity[i], 0]);
  return Uint32Array.from(entries);
}

function uploadTable(gpu: GpuContext, table: Uint32Array): GPUBuffer {
  const padded = new Uint32Array(TABLE_BASE * 4 + table.length);
  padded.set(table, TABLE_BASE * 4);
  return storageBuffer(gpu, padded);
}

/** Runs prefill attention once and compares outputs and stats with the twin. */
export async function expectPrefill(
  gpu: GpuContext,
  attention: Attention,
  layout: HeadLayout,
  { kept, start, tokens, statsFrom, gain = 1, oneBuffer = false }: PrefillCase,
): Promise<void> {
  const { numHeads, numKvHeads, headDim, kvDtype } = layout;
  const random = seededRandom(start * 131 + tokens);
  const qkv = random.normals(tokens * (numHeads + 2 * numKvHeads) * headDim, gain);
  const stride = (oneBuffer ? kept[0] : 0) + start + tokens + 3;
  const offsets = kept.map((_, i) =>
    oneBuffer ? i * stride : 1 + kept.slice(0, i).reduce((sum, length) => sum + length + 2, 0),
  );
  const table = tableOf(
    offsets,
    kept,
    kept.map((length) => (oneBuffer ? stride : length + 2)),
  );
  const cacheRows = 1 + kept.reduce((sum, length) => sum + length + 2, 0);
  const staged = randomRows(numKvHeads * stride + 2, layout, 1);
  const cache = oneBuffer ? staged : randomRows(cacheRows, layout, 2);
  const stagedOffset = oneBuffer ? kept[0] : 2;
  const input = { ...layout, qkv, tokens, table, cache };
  const expected = attendPrefill({ ...input, staged, stagedOffset, stagedStride: stride, start });

  const wanted = statsFrom === undefined ? 1 : Math.max(start + tokens - statsFrom, 1);
  const out = storageBuffer(gpu, new Float32Array(tokens * numHeads * headDim).fill(UNTOUCHED));
  const stats = storageBuffer(gpu, new Float32Array(wanted * numHeads * 2).fill(UNTOUCHED));
  const stagedBuffers = {
    keys: storageBuffer(gpu, packRows(staged.keys, kvDtype)),
    values: storageBuffer(gpu, packRows(staged.values, kvDtype)),
  };
  const cacheBuffers = oneBuffer
    ? stagedBuffers
    : {
        keys: storageBuffer(gpu, packRows(cache.keys, kvDtype)),
        values: storageBuffer(gpu, packRows(cache.values, kvDtype)),
      };
  const list = new Recorder(gpu.device, gpu.buffers, 8, "test");
  attention.prefill(
    list,
    { table: uploadTable(gpu, table), qkv: storageBuffer(gpu, qkv), ...cacheBuffers, out },
    { ...stagedBuffers, offset: stagedOffset, stride, rows: start + tokens },
    { tableBase: TABLE_BASE, start, tokens },
    Math.max(...kept),
    statsFrom === undefined ? undefined : { buffer: stats, from: statsFrom },
  );
  list.submit();
  expectClose(await readFloats(gpu, out), expected.out, tolerance(gain));

  const expectedStats = new Float32Array(wanted * numHeads * 2).fill(UNTOUCHED);
  if (statsFrom !== undefined) {
    const first = Math.max(statsFrom - start, 0);
    const row = numHeads * 2;
    expectedStats.set(expected.stats.subarray(first * row), (start + first - statsFrom) * row);
  }
  expectClose(await readFloats(gpu, stats), expectedStats, tolerance(gain));
}

/** Runs decode attention once and compares the output with the twin. */
export async function expectDecode(
  gpu: GpuContext,
  attention: Attention,
  layout: HeadLayout,
  { lengths, capacity, gain = 1 }: DecodeCase,
): Promise<void> {
  const { numHeads, numKvHeads, headDim, kvDtype } = layout;
  const random = seededRandom(capacity * 131 + lengths[0]);
  const qkv = random.normals((numHeads + 2 * numKvHeads) * headDim, gain);
  const table = tableOf(
    lengths.map((_, i) => 1 + i * (capacity + 1)),
    lengths,
    lengths.map(() => capacity),
  );
  const cache = randomRows(numKvHeads * (capacity + 1) + 1, layout, 2);
  const expected = attendDecode({ ...layout, qkv, tokens: 1, table, cache });

  const out = storageBuffer(gpu, new Float32Array(numHeads * headDim).fill(UNTOUCHED));
  const list = new Recorder(gpu.device, gpu.buffers, 8, "test");
  attention.decode(
    list,
    {
      table: uploadTable(gpu, table),
      qkv: storageBuffer(gpu, qkv),
      keys: storageBuffer(gpu, packRows(cache.keys, kvDtype)),
      values: storageBuffer(gpu, packRows(cache.values, kvDtype)),
      out,
    },
    TABLE_BASE,
    capacity,
  );
  list.submit();
  expectClose(await readFloats(gpu, out), expected.out, tolerance(gain));
}
