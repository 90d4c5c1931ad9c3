import type { KvDtype } from "../../src/cache/layout.ts";
import type { GpuContext } from "../../src/gpu/device.ts";
import type { KernelSpec } from "../../src/gpu/kernel.ts";
import { type BufferBinding, Recorder, type Workgroups } from "../../src/gpu/recorder.ts";
import { seededRandom } from "../random.ts";
import type { Entry } from "../reference/place_heads.ts";
import type { WindowInput } from "../reference/score_stats.ts";
import { storageBuffer } from "./buffers.ts";
import { asStored, packRows } from "./kv-rows.ts";

/** A layer of a cache in the middle of things: ragged old rows, and staged ones. */
export interface LayerShape {
  readonly numHeads: number;
  readonly numKvHeads: number;
  readonly headDim: number;
  readonly dtype: KvDtype;
  /** Old rows of each head. */
  readonly lengths: readonly number[];
  readonly newTokens: number;
  readonly windowSize: number;
  /** Tokens seen, the new ones included. */
  readonly tokens: number;
}

/** The same layer on the GPU and as numbers. */
export interface LayerCase extends WindowInput {
  readonly shape: LayerShape;
  /** `[KV head][candidate]`. */
  readonly values: readonly (readonly ArrayLike<number>[])[];
  readonly positions: readonly (readonly number[])[];
  readonly entries: readonly Entry[];
  readonly buffers: Readonly<
    Record<
      | "table"
      | "queries"
      | "keys"
      | "values"
      | "positions"
      | "staged_keys"
      | "staged_values"
      | "stats",
      GPUBuffer
    >
  >;
}

/** The layer is not the first one of its table and ring. */
export const LAYER = 2;

/** What rows hold that nobody may read. */
const GARBAGE = 1000;

/** Window tokens that there are. */
export function windowRows({ windowSize, tokens }: LayerShape): number {
  return Math.min(windowSize, tokens);
}

/** Random rows and queries; `scale` widens the logits, so that attention has peaks. */
export function layerCase(gpu: GpuContext, shape: LayerShape, seed = 1, scale = 2): LayerCase {
  const { numHeads, numKvHeads, headDim, dtype, lengths, newTokens, windowSize, tokens } = shape;
  const random = seededRandom(seed);
  // Regions of heads lie in reverse order, with gaps between them.
  const entries: Entry[] = [];
  let oldRows = 1;
  for (let head = numKvHeads - 1; head >= 0; head--) {
    entries[head] = [oldRows, lengths[head], lengths[head] + 2];
    oldRows += lengths[head] + 3;
  }
  const old = [0, 1].map(() => new Float32Array(oldRows * headDim).fill(GARBAGE));
  const staged = [0, 1].map(() => new Float32Array(numKvHeads * newTokens * headDim || headDim));
  const oldPositions = new Uint32Array(oldRows).fill(GARBAGE);
  const rows: Float32Array[][][] = [[], []];
  const positions: number[][] = [];
  for (const [head, [offset, length]] of entries.entries()) {
    const count = length + newTokens;
    for (const kind of [0, 1]) {
      rows[kind][head] = Array.from({ length: count }, (_, j) => {
        const row = asStored(random.normals(headDim, kind === 0 ? scale : 1), dtype);
        if (j < length) old[kind].set(row, (offset + j) * headDim);
        else staged[kind].set(row, (head * newTokens + j - length) * headDim);
        return row;
      });
    }
    // Old positions with holes, ascending, before those of the staged rows.
    positions[head] = Array.from({ length: count }, (_, j) =>
      j < length ? 3 * j + head : tokens - newTokens + j - length,
    );
    oldPositions.set(positions[head].slice(0, length), offset);
  }
  const window = windowRows(shape);
  const ring = new Float32Array((LAYER + 1) * windowSize * numHeads * headDim || 4).fill(GARBAGE);
  const queries = Array.from({ length: window }, (_, i) =>
    Array.from({ length: numHeads }, (__, head) => {
      const query = random.normals(headDim);
      const slot = (tokens - window + i) % windowSize;
      ring.set(query, ((LAYER * windowSize + slot) * numHeads + head) * headDim);
      return query;
    }),
  );
  const table = new Uint32Array((LAYER + 1) * numKvHeads * 4).fill(GARBAGE);
  table.set(
    entries.flatMap((entry) => [...entry, 0]),
    LAYER * numKvHeads * 4,
  );
  const rowBuffer = (data: Float32Array): GPUBuffer => storageBuffer(gpu, packRows(data, dtype));
  return {
    shape,
    entries,
    keys: rows[0],
    values: rows[1],
    positions,
    queries,
    buffers: {
      table: storageBuffer(gpu, table),
      queries: storageBuffer(gpu, ring),
      keys: rowBuffer(old[0]),
      values: rowBuffer(old[1]),
      positions: storageBuffer(gpu, oldPositions),
      staged_keys: rowBuffer(staged[0]),
      staged_values: rowBuffer(staged[1]),
      stats: storageBuffer(gpu, new Float32Array(2 * numHeads * Math.max(window, 1))),
    },
  };
}

/** Scores of ragged heads in rows of equal length; what is beyond them must not matter. */
export function padRows(
  rows: readonly ArrayLike<number>[],
  stride: number,
): Float32Array<ArrayBuffer> {
  const padded = new Float32Array(rows.length * stride).fill(1e30);
  for (const [head, row] of rows.entries()) padded.set(Float32Array.from(row), head * stride);
  return padded;
}

/** Run one kernel once. */
export async function runKernel(
  gpu: GpuContext,
  spec: KernelSpec | undefined,
  buffers: Readonly<Record<string, BufferBinding>>,
  params: Readonly<Record<string, number>>,
  workgroups: Workgroups,
): Promise<void> {
  if (spec === undefined) throw new Error("the policy doesn't use this kernel");
  const kernel = await gpu.kernels.get(spec);
  const list = new Recorder(gpu.device, gpu.buffers, 1, "test");
  list.run(kernel, buffers, params, workgroups);
  list.submit();
  list.destroy();
}
