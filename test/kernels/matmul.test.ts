import { describe, test } from "vitest";
import type { PlanarLayout } from "../../src/formats/planar.ts";
import { defaultChoice } from "../../src/model/linear-choice.ts";
import type { LinearForm, MatmulVariant } from "../../src/model/linear-variants.ts";
import { adapterFeatures, openTestDevice } from "../gpu.ts";
import { PLANAR_LAYOUTS } from "../reference/planar.ts";
import { expectLinear, type LinearShape } from "./linear-case.ts";

const subgroups = adapterFeatures.has("subgroups");
const gpu = await openTestDevice({ features: subgroups ? ["subgroups"] : [] });
const { q4, q8, f16 } = PLANAR_LAYOUTS;
const layouts = Object.entries<PlanarLayout>(PLANAR_LAYOUTS);

const FORMS: readonly LinearForm[] = [
  { norm: true, gated: true },
  { norm: true, bias: true },
  { residual: true },
];

const PAIRED_SHAPES: readonly LinearShape[] = [
  { rows: 2, cols: 32, tokens: 2 },
  { rows: 34, cols: 96, tokens: 5, xOffset: 4, yOffset: 3 },
  { rows: 62, cols: 64, tokens: 9, splitAt: 30 },
  { rows: 130, cols: 576, tokens: 3 },
];
const SHAPES: readonly LinearShape[] = [
  ...PAIRED_SHAPES,
  { rows: 1, cols: 32, tokens: 7 },
  { rows: 31, cols: 64, tokens: 8 },
  { rows: 63, cols: 1536, tokens: 2 },
  { rows: 65, cols: 96, tokens: 65 },
];

function testForm(variant: MatmulVariant, kind: string, layout: PlanarLayout, form: LinearForm) {
  test(`${kind}, ${Object.keys(form).join(" ")}`, async () => {
    await expectLinear(gpu, variant, layout, form, form.gated ? PAIRED_SHAPES : SHAPES);
  });
}

/** Every layout in one form, and q4 in all: the flags and the layouts meet in few lines. */
function testLayoutsAndForms(variant: MatmulVariant): void {
  for (const [kind, layout] of layouts) testForm(variant, kind, layout, { norm: true });
  for (const form of FORMS) testForm(variant, "q4", q4, form);
}

const usual = defaultChoice(gpu).matmul;

describe("the adapter's own choice", () => {
  for (const [kind, layout] of layouts) testForm(usual, kind, layout, { norm: true });
  for (const form of FORMS) {
    testForm(usual, "q4", q4, form);
    testForm(usual, "q8", q8, form);
  }
});

describe("matmul_rows, x loaded by each thread", () => {
  const sizes = { rows: 2, tokens: 3, workgroupSize: 16 };
  const variant = { kernel: "matmul_rows", broadcast: 0, ...sizes } as const;
  for (const form of FORMS) testForm(variant, "q4", q4, form);
  testForm(variant, "f16", f16, { norm: true });
});

describe("matmul_tile", () => {
  testLayoutsAndForms({ kernel: "matmul_tile", tile: 64, quads: 1, step: 32 });
  const form = { norm: true, gated: true };
  testForm({ kernel: "matmul_tile", tile: 64, quads: 2, step: 32 }, "q4, 8 x 8", q4, form);
  testForm({ kernel: "matmul_tile", tile: 128, quads: 2, step: 16 }, "q4, 128", q4, form);
  testForm({ kernel: "matmul_tile", tile: 128, quads: 2, step: 16 }, "q4, 128", q4, {
    residual: true,
  });
});

test("more workgroups than one dimension of the grid holds", async () => {
  const variant = { kernel: "matmul_rows", rows: 2, tokens: 2, broadcast: 0 } as const;
  const shape = { rows: 131_072 + 5, cols: 32, tokens: 2 };
  await expectLinear(gpu, { ...variant, workgroupSize: 1 }, q4, {}, [shape]);
});
