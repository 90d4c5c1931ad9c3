import { describe, expect, test } from "vitest";
import { expectClose, openTestDevice, seededRandom } from "../gpu.ts";
import { compactKv } from "../reference/compact_kv.ts";
import { compactPositions } from "../reference/compact_positions.ts";
import { keptMass } from "../reference/kept_mass.ts";
import { placedHeads, placeHeads } from "../reference/place_heads.ts";
import { selectTopk } from "../reference/select_topk.ts";
import { readFloats, readWords, storageBuffer } from "./buffers.ts";
import { unpackRows } from "./kv-rows.ts";
import { LAYER, layerCase, type LayerShape, padRows, runKernel } from "./layer-case.ts";

const gpu = await openTestDevice();
const SPARE_ROWS = 9;
const EXACT = { atol: 0, rtol: 0 };

const SHAPES: Record<string, Pick<LayerShape, "headDim" | "dtype" | "lengths" | "newTokens">> = {
  "first rows": { headDim: 64, dtype: "f16", lengths: [0, 0, 0], newTokens: 67 },
  "ragged rows": { headDim: 32, dtype: "f32", lengths: [70, 3, 41], newTokens: 65 },
  "old rows": { headDim: 128, dtype: "f16", lengths: [99, 128, 5], newTokens: 0 },
  "one row": { headDim: 96, dtype: "f32", lengths: [1, 0, 0], newTokens: 1 },
};

describe("place_heads", () => {
  for (const isSplit of [false, true]) {
    test(isSplit ? "rows as split_budget says" : "rows up to a bound", async () => {
      const entries = [5, 400, 17, 64].map((length, i) => [1000 * i, length, length + 3, 0]);
      const [rows, newTokens] = [isSplit ? [6, 100, 19, 1] : [11, 60, 23, 60], 6];
      const table = storageBuffer(gpu, Uint32Array.from([9, 9, 9, 9, ...entries.flat()]));
      const given = rows.flatMap((count) => [0, 0, isSplit ? count : 7, 0]);
      const heads = storageBuffer(gpu, Uint32Array.from(given));
      const mass = storageBuffer(gpu, new Float32Array(5));
      await runKernel(
        gpu,
        { name: "place_heads" },
        { table, heads, kept_mass: mass },
        {
          table_base: 1,
          new_tokens: newTokens,
          num_kv_heads: 4,
          max_rows: 60,
          is_split: Number(isSplit),
          spare_rows: SPARE_ROWS,
          mass: 1,
        },
        [1, 1, 1],
      );
      const before = entries.map(
        ([offset, length, capacity]) => [offset, length, capacity] as const,
      );
      const placed = placeHeads(rows, SPARE_ROWS).flatMap((entry) => [...entry, 0]);
      expect([...(await readWords(gpu, table))]).toEqual([9, 9, 9, 9, ...placed]);
      expect([...(await readWords(gpu, heads))]).toEqual(
        placedHeads(before, rows, SPARE_ROWS).flat(),
      );
      expect([...(await readFloats(gpu, mass))]).toEqual([0, 1, 1, 1, 1]);
    });
  }
});

describe("compact_kv and compact_positions", () => {
  for (const [name, shape] of Object.entries(SHAPES)) {
    for (const keepsAll of [false, true]) {
      test(`${name}: ${keepsAll ? "all" : "some"}`, async () => {
        const { headDim, dtype, newTokens } = shape;
        const more = { numHeads: 3, numKvHeads: 3, windowSize: 0, tokens: 700 };
        const layer = layerCase(gpu, { ...shape, ...more });
        const selected = layer.keys.map(({ length }, head) =>
          selectTopk(
            seededRandom(head).uniforms(length),
            keepsAll ? length : Math.ceil(length * 0.4),
          ),
        );
        const counts = selected.map(({ length }) => length);
        const most = Math.max(...counts);
        const newRows = counts.reduce((sum, count) => sum + count + SPARE_ROWS, 0);
        const words = (newRows * headDim) / (dtype === "f16" ? 2 : 1);
        const heads = storageBuffer(
          gpu,
          Uint32Array.from(placedHeads(layer.entries, counts, SPARE_ROWS).flat()),
        );
        const list = keepsAll ? [0] : selected.flat();
        const kept = storageBuffer(gpu, Uint32Array.from(list));
        const keys = storageBuffer(gpu, new Uint32Array(words));
        const values = storageBuffer(gpu, new Uint32Array(words));
        const positions = storageBuffer(gpu, new Uint32Array(newRows));
        const flags = { spare_rows: SPARE_ROWS, keeps_all: Number(keepsAll) };
        const workgroups = Math.ceil((most * headDim) / 8 / 64);
        await runKernel(
          gpu,
          { name: "compact_kv", imports: { kv: `kv_${dtype}` }, constants: { HEAD_DIM: headDim } },
          {
            keys: layer.buffers.keys,
            values: layer.buffers.values,
            staged_keys: layer.buffers.staged_keys,
            staged_values: layer.buffers.staged_values,
            heads,
            kept,
            new_keys: keys,
            new_values: values,
          },
          { new_tokens: newTokens, ...flags },
          // As if one dimension of the grid did not do.
          [Math.ceil(workgroups / 2), 3, 2],
        );
        await runKernel(
          gpu,
          { name: "compact_positions" },
          { heads, kept, positions: layer.buffers.positions, new_positions: positions },
          { first_position: 700 - newTokens, ...flags },
          [Math.ceil(most / 64), 3, 1],
        );
        for (const [kind, buffer] of [["keys", keys] as const, ["values", values] as const]) {
          const expected = new Float32Array(newRows * headDim);
          for (const { head, candidate, row } of compactKv(selected, SPARE_ROWS)) {
            expected.set(layer[kind][head][candidate], row * headDim);
          }
          expectClose(unpackRows(await readWords(gpu, buffer), dtype), expected, EXACT);
        }
        const moved = compactPositions(layer.positions, selected, SPARE_ROWS);
        expectClose(await readWords(gpu, positions), moved, EXACT);
      });
    }
  }
});

describe("kept_mass", () => {
  test("sums the scores of what each head keeps", async () => {
    const counts = [1, 63, 500, 0];
    const scores = counts.map((_, head) => seededRandom(head).uniforms(601 - head));
    const selected = counts.map((count, head) => selectTopk(scores[head], count));
    const before = counts.map(() => [0, 0, 0] as const);
    const mass = storageBuffer(gpu, new Float32Array(LAYER + counts.length).fill(7));
    await runKernel(
      gpu,
      { name: "kept_mass" },
      {
        heads: storageBuffer(gpu, Uint32Array.from(placedHeads(before, counts, SPARE_ROWS).flat())),
        kept: storageBuffer(gpu, Uint32Array.from(selected.flat())),
        scores: storageBuffer(gpu, padRows(scores, 604)),
        kept_mass: mass,
      },
      { table_base: LAYER, score_stride: 604, spare_rows: SPARE_ROWS },
      [counts.length, 1, 1],
    );
    const expected = selected.map((rows, head) => keptMass(scores[head], rows));
    const untouched = Array<number>(LAYER).fill(7);
    expectClose(await readFloats(gpu, mass), [...untouched, ...expected], { atol: 0, rtol: 1e-6 });
  });
});
