import { describe, expect, test } from "vitest";
import { openTestDevice, seededRandom } from "../gpu.ts";
import { placedHeads } from "../reference/place_heads.ts";
import { selectTopk } from "../reference/select_topk.ts";
import { readWords, storageBuffer } from "./buffers.ts";
import { padRows, runKernel } from "./layer-case.ts";

const gpu = await openTestDevice();
const WORKGROUP_SIZES = [64, 256];
const NEW_TOKENS = 1;
const SPARE_ROWS = 7;

/** Select `rows[h]` of the candidates of each head, and compare with the twin. */
async function expectSelected(
  ranks: readonly ArrayLike<number>[],
  rows: readonly number[],
  workgroupSize: number,
): Promise<void> {
  const stride = Math.ceil(Math.max(...ranks.map(({ length }) => length)) / 4) * 4;
  const before = ranks.map(({ length }) => [5, length - NEW_TOKENS, length] as const);
  const total = rows.reduce((a, b) => a + b);
  const kept = storageBuffer(gpu, new Uint32Array(total + 1).fill(77));
  await runKernel(
    gpu,
    { name: "select_topk", constants: { WORKGROUP_SIZE: workgroupSize } },
    {
      heads: storageBuffer(gpu, Uint32Array.from(placedHeads(before, rows, SPARE_ROWS).flat())),
      ranks: storageBuffer(gpu, padRows(ranks, stride)),
      kept,
    },
    { new_tokens: NEW_TOKENS, score_stride: stride, spare_rows: SPARE_ROWS },
    [ranks.length, 1, 1],
  );
  const expected = ranks.flatMap((row, head) => selectTopk(row, rows[head]));
  expect([...(await readWords(gpu, kept))]).toEqual([...expected, 77]);
}

/** Scores as they come: attention shares, few values with many ties, norms, odd numbers. */
const KINDS: Record<string, (count: number, seed: number) => Float32Array> = {
  shares: (count, seed) => seededRandom(seed).normals(count, 4).map(Math.exp),
  ties: (count, seed) => Float32Array.from(seededRandom(seed).integers(count, 5)),
  "negative numbers": (count, seed) => seededRandom(seed).uniforms(count, -90, -1),
  "numbers that differ in the last bit": (count, seed) =>
    new Float32Array(
      seededRandom(seed)
        .integers(count, 40)
        .map((x) => 0x3e000000 + x).buffer,
    ),
  "what is no number": (count, seed) => {
    const odd = [NaN, -0, 0, Infinity, -Infinity, 1e-45, -1e-45, 3e38, -3e38];
    return Float32Array.from(seededRandom(seed).integers(count, odd.length), (i) => odd[i]);
  },
};

describe.each(WORKGROUP_SIZES)("select_topk by %d invocations", (workgroupSize) => {
  for (const [kind, make] of Object.entries(KINDS)) {
    test(kind, async () => {
      for (const count of [1, 2, 63, 64, 65, 257, 1000, 4099]) {
        const ranks = [make(count, count), make(Math.ceil(count / 3), 7), make(count, 9)];
        for (const share of [0, 0.12, 0.5, 1]) {
          const rows = ranks.map(({ length }) => Math.max(1, Math.round(length * share)));
          await expectSelected(ranks, rows, workgroupSize);
        }
      }
    });
  }

  test("every number of rows, none and all included", async () => {
    const ranks = KINDS["ties"](37, 1);
    for (let rows = 0; rows <= 37; rows++) {
      await expectSelected([ranks, ranks], [rows, 37 - rows], workgroupSize);
    }
  });
});
