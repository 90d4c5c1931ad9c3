import { describe, expect, test } from "vitest";
import type { DispatchList } from "../../src/gpu/recorder.ts";
import { createLinear } from "../../src/model/linear.ts";
import { choiceForSmall, defaultChoice, linearCandidates } from "../../src/model/linear-choice.ts";
import type { MatmulVariant } from "../../src/model/linear-variants.ts";
import { adapterFeatures, openTestDevice } from "../gpu.ts";
import { PLANAR_LAYOUTS } from "../reference/planar.ts";
import { storageBuffer } from "./buffers.ts";
import {
  expectLinear,
  LAYOUTS_AND_FORMS,
  type LinearShape,
  Q4_FORMS,
  testForms,
} from "./linear-case.ts";

const subgroups = adapterFeatures.has("subgroups");
const gpu = await openTestDevice({ features: subgroups ? ["subgroups"] : [] });

const SHAPES: readonly LinearShape[] = [
  { rows: 2, cols: 32, tokens: 2 },
  { rows: 34, cols: 96, tokens: 5, xOffset: 4, yOffset: 3 },
  { rows: 62, cols: 64, tokens: 9, splitAt: 30 },
  { rows: 130, cols: 576, tokens: 3 },
  { rows: 1, cols: 32, tokens: 7 },
  { rows: 31, cols: 64, tokens: 8 },
  { rows: 63, cols: 1536, tokens: 2 },
  { rows: 65, cols: 96, tokens: 65 },
];

describe("the adapter's own choice", () => {
  testForms(gpu, defaultChoice(gpu).matmul, SHAPES, [...Q4_FORMS, ...LAYOUTS_AND_FORMS.slice(1)]);
});

const others: readonly (readonly [string, MatmulVariant | undefined])[] = [
  ["the other candidate", linearCandidates(gpu).matmul[1]],
  ["the choice for small models", choiceForSmall(gpu, 0)?.matmul],
];
for (const [name, variant] of others) {
  if (variant?.kernel !== "matmul_rows") continue; // tiles are tested below, on every adapter
  describe(name, () => {
    testForms(gpu, variant, SHAPES, [
      ["q4", { norm: true, gated: true }],
      ["q8", { residual: true }],
    ]);
  });
}

describe("matmul_rows, x loaded by each thread", () => {
  const sizes = { rows: 2, tokens: 3, workgroupSize: 16 };
  const variant = { kernel: "matmul_rows", broadcast: 0, ...sizes } as const;
  testForms(gpu, variant, SHAPES, [...Q4_FORMS, ["f16", { norm: true }]]);
});

describe("matmul_tile", () => {
  testForms(
    gpu,
    { kernel: "matmul_tile", tile: 64, quads: 1, step: 32 },
    SHAPES,
    LAYOUTS_AND_FORMS,
  );
});

describe("matmul_tile, 8 x 8 in a thread", () => {
  const gated = ["q4", { norm: true, gated: true }] as const;
  testForms(gpu, { kernel: "matmul_tile", tile: 64, quads: 2, step: 32 }, SHAPES, [gated]);
});

describe("matmul_tile of 128", () => {
  const variant = { kernel: "matmul_tile", tile: 128, quads: 2, step: 16 } as const;
  testForms(gpu, variant, SHAPES, [
    ["q4", { norm: true, gated: true }],
    ["q4", { residual: true }],
  ]);
});

test("more workgroups than one dimension of the grid holds", async () => {
  const variant = { kernel: "matmul_rows", rows: 2, tokens: 2, broadcast: 0 } as const;
  const shape = { rows: 131_072 + 5, cols: 32, tokens: 2 };
  await expectLinear(gpu, { ...variant, workgroupSize: 1 }, PLANAR_LAYOUTS.q4, {}, [shape]);
});

describe("a product that is too large for one dispatch", () => {
  const [rows, cols, tokens] = [28_672, 4096, 250]; // gate and up of a model of 8 billion weights
  const variant = { kernel: "matmul_rows", rows: 2, tokens: 6, broadcast: 0 } as const;

  /** First token and number of tokens of each dispatch, as their offsets say. */
  async function dispatched(isSoftware: boolean): Promise<(readonly number[])[]> {
    const choice = { ...defaultChoice(gpu), matmul: { ...variant, workgroupSize: 16 } };
    const layout = PLANAR_LAYOUTS.q4;
    const use = { norm: false, residual: true, layouts: [layout], tokens: "many" } as const;
    const linear = await createLinear({ ...gpu, isSoftware }, [use], { choice });
    const buffer = storageBuffer(gpu, new Float32Array(4));
    const slice = { layout, rowStart: 0, rows, quants: buffer, scales: buffer };
    const parts: (readonly number[])[] = [];
    const list: DispatchList = {
      run(_kernel, _buffers, params, [, , groups]) {
        const { x_offset = 0, y_offset = 0, tokens: count = 0 } = params as Record<string, number>;
        expect((x_offset - 8) / cols).toBe((y_offset - 3) / rows);
        expect(groups).toBe(Math.ceil(count / variant.tokens));
        parts.push([(x_offset - 8) / cols, count]);
      },
    };
    const operands = { x: buffer, xOffset: 8, y: buffer, yOffset: 3, residual: true };
    linear.record(list, { matrix: { rows, cols, slices: [slice] }, tokens, ...operands });
    return parts;
  }

  test("is parted on an adapter of the CPU, in whole tiles of tokens", async () => {
    const parts = await dispatched(true);
    expect(parts).toHaveLength(14);
    expect(parts.map(([start]) => start)).toEqual(parts.map((_, i) => i * 18));
    expect(parts.map(([, count]) => count)).toEqual([...Array(13).fill(18), 250 - 13 * 18]);
  });

  test("is one on a GPU", async () => {
    expect(await dispatched(false)).toEqual([[0, tokens]]);
  });
});
