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

const rowsVariant = (rows: number, broadcast: BroadcastSize): LinearVariant => ({
  ...{ kernel: "matvec_rows", rows, tokens: 1, broadcast, workgroupSize: 16 },
});

const FORMS: readonly LinearForm[] = [
  { norm: true },
  { norm: true, bias: true },
  { residual: true },
  { norm: true, gated: true },
];

const SHAPES: readonly LinearShape[] = [
  { rows: 2, cols: 32, tokens: 1 },
  { rows: 32, cols: 96, tokens: 1, xOffset: 4, yOffset: 3 },
  { rows: 62, cols: 64, tokens: 1, splitAt: 30 },
  { rows: 130, cols: 1536, tokens: 1 },
];
const ODD_SHAPES: readonly LinearShape[] = [
  { rows: 1, cols: 32, tokens: 1 },
  { rows: 31, cols: 64, tokens: 1 },
  { rows: 129, cols: 576, tokens: 1 },
];

for (const broadcast of new Set([0, broadcastSize(gpu)] as const)) {
  describe(`matvec_rows, broadcast ${broadcast}`, () => {
    for (const form of FORMS) {
      const name = Object.keys(form).join("+");
      const shapes = form.gated ? SHAPES : [...SHAPES, ...ODD_SHAPES];
      for (const [kind, layout] of Object.entries(PLANAR_LAYOUTS)) {
        const rows = broadcast === 8 ? 1 : 8;
        test(`${name}, ${kind}, R ${rows}`, async () => {
          await checkLinear(gpu, rowsVariant(rows, broadcast), layout, form, shapes);
        });
      }
    }
  });
}
