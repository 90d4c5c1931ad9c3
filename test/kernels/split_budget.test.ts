import { describe, expect, test } from "vitest";
import { openTestDevice, seededRandom } from "../gpu.ts";
import { splitBudget } from "../reference/split_budget.ts";
import { readWords, storageBuffer } from "./buffers.ts";
import { padRows, runKernel } from "./layer-case.ts";

const gpu = await openTestDevice();
const NEW_TOKENS = 1;
const TABLE_BASE = 2;

async function expectSplit(
  ranks: readonly ArrayLike<number>[],
  totalRows: number,
  floorRows: number,
): Promise<void> {
  const stride = Math.ceil(Math.max(...ranks.map(({ length }) => length)) / 4) * 4;
  const entries = ranks.map(({ length }) => [0, length - NEW_TOKENS, length, 0]);
  const heads = storageBuffer(gpu, new Uint32Array(ranks.length * 4));
  await runKernel(
    gpu,
    { name: "split_budget" },
    {
      table: storageBuffer(
        gpu,
        Uint32Array.from([...Array(4 * TABLE_BASE).fill(9), ...entries.flat()]),
      ),
      ranks: storageBuffer(gpu, padRows(ranks, stride)),
      heads,
    },
    {
      table_base: TABLE_BASE,
      num_kv_heads: ranks.length,
      new_tokens: NEW_TOKENS,
      score_stride: stride,
      total_rows: totalRows,
      floor_rows: floorRows,
    },
    [1, 1, 1],
  );
  const words = await readWords(gpu, heads);
  const rows = ranks.map((_, head) => words[head * 4 + 2]);
  expect(rows).toEqual(splitBudget(ranks, totalRows, floorRows));
  expect(rows.reduce((a, b) => a + b)).toBe(totalRows);
}

/** Heads that differ in how high they rank, the window above all in each. */
function shares(count: number, heads: number, seed: number): Float32Array[] {
  return Array.from({ length: heads }, (_, head) => {
    const row = seededRandom(seed + head)
      .normals(count - 3 * head, 1 + head)
      .map(Math.exp);
    return row.fill(3e38, row.length - 4);
  });
}

describe("split_budget", () => {
  for (const heads of [1, 2, 3, 8, 33]) {
    test(`${heads} heads, of different lengths`, async () => {
      for (const count of heads === 33 ? [104] : [104, 261, 900]) {
        for (const mean of [5, 17, 40]) {
          for (const floor of [0, 4, mean]) {
            const ranks = shares(count, heads, count + mean);
            const all = ranks.reduce((sum, { length }) => sum + length, 0);
            const least = Math.min(...ranks.map(({ length }) => length));
            await expectSplit(ranks, Math.min(mean * heads, all), Math.min(floor, least));
          }
        }
      }
    });
  }

  test("ties go to the lower head, and to the floors first", async () => {
    const ranks = [0, 1, 2].map((seed) =>
      Float32Array.from(seededRandom(seed).integers(50, 4), (x) => (seed === 1 ? x / 2 : x)),
    );
    for (let total = 15; total <= 150; total += 3) await expectSplit(ranks, total, 5);
    await expectSplit(
      ranks.map((row) => row.fill(0.25)),
      75,
      10,
    );
  });

  test("a head that is shorter than the floor gives the rest to the others", async () => {
    const ranks = [
      seededRandom(1).uniforms(6),
      seededRandom(2).uniforms(60),
      seededRandom(3).uniforms(40),
    ];
    await expectSplit(ranks, 60, 20);
  });
});
