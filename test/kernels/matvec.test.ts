import { describe, test } from "vitest";
import { broadcastSize, defaultChoice } from "../../src/model/linear-choice.ts";
import { adapterFeatures, openTestDevice } from "../gpu.ts";
import { PLANAR_LAYOUTS } from "../reference/planar.ts";
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
  { rows: 2, cols: 32, tokens: 1 },
  { rows: 32, cols: 96, tokens: 1, xOffset: 4, yOffset: 3 },
  { rows: 62, cols: 64, tokens: 1, splitAt: 30 },
  { rows: 130, cols: 1536, tokens: 1 },
  { rows: 1, cols: 32, tokens: 1 },
  { rows: 31, cols: 64, tokens: 1 },
  { rows: 129, cols: 576, tokens: 1 },
  { rows: 5, cols: 2080, tokens: 1 },
];

describe("the adapter's own choice", () => {
  testForms(gpu, defaultChoice(gpu).matvec, SHAPES, [...Q4_FORMS, ...LAYOUTS_AND_FORMS.slice(1)]);
});

describe("matvec_rows, x loaded by each thread", () => {
  const variant = { kernel: "matvec_rows", rows: 2, broadcast: 0, workgroupSize: 32 } as const;
  testForms(gpu, variant, SHAPES, [...Q4_FORMS, ["f16", { norm: true }]]);
});

const broadcast = broadcastSize(gpu);
describe.runIf(broadcast > 0)("matvec_rows, x broadcast", () => {
  for (const [rows, form] of [
    [4, { norm: true, gated: true }],
    [8, { residual: true }],
  ] as const) {
    const variant = { kernel: "matvec_rows", rows, broadcast, workgroupSize: 16 } as const;
    describe(`${rows} rows`, () => {
      testForms(gpu, variant, SHAPES, [["q4", form]]);
    });
  }
});

describe("matvec_lanes, sums in workgroup memory", () => {
  const variant = { kernel: "matvec_lanes", groups: 2, lanes: 16, subgroups: false } as const;
  testForms(gpu, variant, SHAPES, LAYOUTS_AND_FORMS);
});

describe.runIf(subgroups)("matvec_lanes, sums by shuffles", () => {
  testForms(
    gpu,
    { kernel: "matvec_lanes", groups: 2, lanes: 16, subgroups },
    SHAPES,
    LAYOUTS_AND_FORMS,
  );
  for (const [groups, lanes] of [
    [1, 8],
    [4, 32],
  ] as const) {
    const variant = { kernel: "matvec_lanes", groups, lanes, subgroups } as const;
    const gated = ["q4", { norm: true, gated: true }] as const;
    describe(`${groups} groups, ${lanes} lanes`, () => {
      testForms(gpu, variant, SHAPES, [gated]);
    });
  }
});

describe("more workgroups than one dimension of the grid holds", () => {
  const shape = { cols: 32, tokens: 1 };
  test("matvec_rows", async () => {
    const variant = { kernel: "matvec_rows", rows: 2, broadcast: 0, workgroupSize: 1 } as const;
    await expectLinear(gpu, variant, PLANAR_LAYOUTS.q4, {}, [{ ...shape, rows: 131_072 + 3 }]);
  });
  test("matvec_lanes", async () => {
    const variant = { kernel: "matvec_lanes", groups: 1, lanes: 4, subgroups: false } as const;
    await expectLinear(gpu, variant, PLANAR_LAYOUTS.q4, {}, [{ ...shape, rows: 524_288 + 5 }]);
  });
});
