import { describe, expect, test } from "vitest";
import type { ScorePool } from "../../src/cache/options.ts";
import { expectClose, openTestDevice, seededRandom } from "../gpu.ts";
import { poolScores } from "../reference/pool_scores.ts";
import { scoreKeynorm } from "../reference/score_keynorm.ts";
import { scoreRecency } from "../reference/score_recency.ts";
import { readFloats, storageBuffer } from "./buffers.ts";
import { LAYER, layerCase, type LayerShape, padRows, runKernel } from "./layer-case.ts";

const gpu = await openTestDevice();
const STRIDE = 300;

/** The first of each head's scores, as many as it has candidates. */
async function readScores(buffer: GPUBuffer, counts: readonly number[]): Promise<number[][]> {
  const all = await readFloats(gpu, buffer);
  return counts.map((count, head) => [...all.subarray(head * STRIDE, head * STRIDE + count)]);
}

describe("score_keynorm", () => {
  const shapes: Pick<LayerShape, "headDim" | "dtype" | "lengths" | "newTokens">[] = [
    { headDim: 64, dtype: "f16", lengths: [0, 0], newTokens: 257 },
    { headDim: 32, dtype: "f32", lengths: [70, 3], newTokens: 65 },
    { headDim: 128, dtype: "f32", lengths: [99, 128], newTokens: 0 },
  ];
  for (const { headDim, dtype, lengths, newTokens } of shapes) {
    test(`${lengths.join("/")} old and ${newTokens} new rows of ${headDim}, ${dtype}`, async () => {
      const size = { headDim, dtype, lengths, newTokens };
      const more = { numHeads: 2, numKvHeads: 2, windowSize: 0, tokens: 700 };
      const layer = layerCase(gpu, { ...size, ...more });
      const { table, keys, staged_keys } = layer.buffers;
      const scores = storageBuffer(gpu, new Float32Array(2 * STRIDE));
      await runKernel(
        gpu,
        { name: "score_keynorm", imports: { kv: `kv_${dtype}` } },
        { table, keys, staged_keys, scores },
        {
          table_base: LAYER * 2,
          new_tokens: newTokens,
          score_stride: STRIDE,
          octets: headDim / 8,
        },
        [Math.ceil(STRIDE / 64), 2, 1],
      );
      const expected = scoreKeynorm(layer.keys);
      const counts = expected.map(({ length }) => length);
      const ours = await readScores(scores, counts);
      expectClose(ours.flat(), expected.flat(), { atol: 0, rtol: 2e-6 });
    });
  }
});

describe("score_recency", () => {
  for (const numSinks of [0, 4, 300]) {
    test(`${numSinks} sinks`, async () => {
      const scores = storageBuffer(gpu, new Float32Array(2 * STRIDE));
      const params = { num_sinks: numSinks, score_stride: STRIDE };
      await runKernel(gpu, { name: "score_recency" }, { scores }, params, [5, 2, 1]);
      const expected = scoreRecency(STRIDE, numSinks);
      expect(await readScores(scores, [STRIDE, STRIDE])).toEqual([expected, expected]);
    });
  }
});

describe("pool_scores", () => {
  const pools = [1, 5, 7, 13].flatMap((size): ScorePool[] => [
    { kind: "avg", size },
    { kind: "max", size },
  ]);
  test.each(pools)("$kind of $size", async (pool) => {
    const counts = [1, 9, 64, 300];
    for (const windowRows of [1, 4, 8]) {
      const rows = counts.map((count) => seededRandom(count).uniforms(Math.max(count, windowRows)));
      const scores = padRows(rows, STRIDE);
      const entries = rows.flatMap(({ length }) => [0, length - 1, length, 0]);
      const pooled = storageBuffer(
        gpu,
        scores.map(() => -1),
      );
      await runKernel(
        gpu,
        {
          name: "pool_scores",
          constants: { POOL_SIZE: pool.size, POOL_MAX: Number(pool.kind === "max") },
        },
        {
          table: storageBuffer(gpu, Uint32Array.from([9, 9, 9, 9, ...entries])),
          scores: storageBuffer(gpu, scores),
          pooled,
        },
        { table_base: 1, new_tokens: 1, window_rows: windowRows, score_stride: STRIDE },
        [Math.ceil(STRIDE / 64), rows.length, 1],
      );
      const expected = rows.map((row) => poolScores(row, windowRows, pool));
      const ours = await readScores(
        pooled,
        rows.map(({ length }) => length),
      );
      const rtol = pool.kind === "max" ? 0 : 1e-6;
      expectClose(ours.flat(), expected.flat(), { atol: 0, rtol });
    }
  });
});
