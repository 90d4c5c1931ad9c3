import { describe, test } from "vitest";
import type { PlanarLayout } from "../../src/formats/planar.ts";
import { broadcastSize, defaultChoice } from "../../src/model/linear-choice.ts";
import type { LinearForm, MatvecVariant } from "../../src/model/linear-variants.ts";
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
  { rows: 2, cols: 32, tokens: 1 },
  { rows: 32, cols: 96, tokens: 1, xOffset: 4, yOffset: 3 },
  { rows: 62, cols: 64, tokens: 1, splitAt: 30 },
  { rows: 130, cols: 1536, tokens: 1 },
];
const SHAPES: readonly LinearShape[] = [
  ...PAIRED_SHAPES,
  { rows: 1, cols: 32, tokens: 1 },
  { rows: 31, cols: 64, tokens: 1 },
  { rows: 129, cols: 576, tokens: 1 },
  { rows: 5, cols: 2080, tokens: 1 },
];

function testForm(variant: MatvecVariant, kind: string, layout: PlanarLayout, form: LinearForm) {
  test(`${kind}, ${Object.keys(form).join(" ")}`, async () => {
    await expectLinear(gpu, variant, layout, form, form.gated ? PAIRED_SHAPES : SHAPES);
  });
}

/** Every layout in one form, and q4 in all: the flags and the layouts meet in few lines. */
function testLayoutsAndForms(variant: MatvecVariant): void {
  for (const [kind, layout] of layouts) testForm(variant, kind, layout, { norm: true });
  for (const form of FORMS) testForm(variant, "q4", q4, form);
}

const usual = defaultChoice(gpu).matvec;

describe("the adapter's own choice", () => {
  for (const [kind, layout] of layouts) testForm(usual, kind, layout, { norm: true });
  for (const form of FORMS) {
    testForm(usual, "q4", q4, form);
    testForm(usual, "q8", q8, form);
  }
});

describe("matvec_rows, x loaded by each thread", () => {
  const variant = { kernel: "matvec_rows", rows: 2, broadcast: 0, workgroupSize: 32 } as const;
  for (const form of FORMS) testForm(variant, "q4", q4, form);
  testForm(variant, "f16", f16, { norm: true });
});

const broadcast = broadcastSize(gpu);
describe.runIf(broadcast > 0)("matvec_rows, x broadcast", () => {
  for (const rows of [4, 8]) {
    for (const form of [{ norm: true, gated: true }, { residual: true }]) {
      const variant = { kernel: "matvec_rows", rows, broadcast, workgroupSize: 16 } as const;
      testForm(variant, `q4, ${rows} rows`, q4, form);
    }
  }
});

describe("matvec_lanes, sums in workgroup memory", () => {
  testLayoutsAndForms({ kernel: "matvec_lanes", groups: 2, lanes: 16, subgroups: false });
});

describe.runIf(subgroups)("matvec_lanes, sums by shuffles", () => {
  testLayoutsAndForms({ kernel: "matvec_lanes", groups: 2, lanes: 16, subgroups });
  for (const [groups, lanes] of [
    [1, 8],
    [4, 32],
  ] as const) {
    const variant = { kernel: "matvec_lanes", groups, lanes, subgroups } as const;
    testForm(variant, `q4, ${groups} groups, ${lanes} lanes`, q4, { norm: true, gated: true });
  }
});

describe("more workgroups than one dimension of the grid holds", () => {
  const shape = { cols: 32, tokens: 1 };
  test("matvec_rows", async () => {
    const variant = { kernel: "matvec_rows", rows: 2, broadcast: 0, workgroupSize: 1 } as const;
    await expectLinear(gpu, variant, q4, {}, [{ ...shape, rows: 131_072 + 3 }]);
  });
  test("matvec_lanes", async () => {
    const variant = { kernel: "matvec_lanes", groups: 1, lanes: 4, subgroups: false } as const;
    await expectLinear(gpu, variant, q4, {}, [{ ...shape, rows: 524_288 + 5 }]);
  });
});
