import { describe, test } from "vitest";
import {
  type BroadcastSize,
  broadcastSize,
  type LinearForm,
  type LinearVariant,
} from "../../src/model/linear-variants.ts";
import { adapterFeatures, openTestDevice } from "../gpu.ts";
import { PLANAR_LAYOUTS } from "../reference/planar.ts";
import { checkLinear, type LinearShape } from "./linear-case.ts";

const subgroups = adapterFeatures.has("subgroups");
const gpu = await openTestDevice({ features: subgroups ? ["subgroups"] : [] });

const rowsVariant = (rows: number, tokens: number, broadcast: BroadcastSize): LinearVariant => ({
  ...{ kernel: "matmul_rows", rows, tokens, broadcast, workgroupSize: 16 },
});

const FORMS: readonly LinearForm[] = [
  { norm: true },
  { norm: true, bias: true },
  { residual: true },
  { norm: true, gated: true },
];

const SHAPES: readonly LinearShape[] = [
  { rows: 2, cols: 32, tokens: 2 },
  { rows: 32, cols: 96, tokens: 5, xOffset: 4, yOffset: 3 },
  { rows: 62, cols: 64, tokens: 9, splitAt: 30 },
  { rows: 66, cols: 1536, tokens: 3 },
];
const ODD_SHAPES: readonly LinearShape[] = [
  { rows: 1, cols: 32, tokens: 7 },
  { rows: 31, cols: 64, tokens: 8 },
  { rows: 65, cols: 576, tokens: 65 },
];

for (const broadcast of new Set([0, broadcastSize(gpu)] as const)) {
  describe(`matmul_rows, broadcast ${broadcast}`, () => {
    for (const form of FORMS) {
      const name = Object.keys(form).join("+");
      const shapes = form.gated ? SHAPES : [...SHAPES, ...ODD_SHAPES];
      for (const [kind, layout] of Object.entries(PLANAR_LAYOUTS)) {
        test(`${name}, ${kind}, 2 x 4`, async () => {
          await checkLinear(gpu, rowsVariant(2, 4, broadcast), layout, form, shapes);
        });
      }
    }
  });
}
