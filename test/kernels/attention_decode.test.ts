import { describe, test } from "vitest";
import { adapterFeatures, openTestDevice } from "../gpu.ts";
import {
  attentionVariants,
  expectDecode,
  type DecodeCase,
  type HeadLayout,
  openAttention,
} from "./attention-case.ts";

const subgroups = adapterFeatures.has("subgroups");
const gpu = await openTestDevice({ features: subgroups ? ["subgroups"] : [] });

const layout = (
  numHeads: number,
  numKvHeads: number,
  headDim: number,
  kvDtype: "f16" | "f32",
): HeadLayout => ({ numHeads, numKvHeads, headDim, kvDtype });

const CASES: readonly DecodeCase[] = [
  { lengths: [0, 1, 62], capacity: 64 },
  { lengths: [63, 30, 31], capacity: 64, gain: 40 },
  { lengths: [0, 64, 199], capacity: 200 },
  { lengths: [127, 128, 5], capacity: 256, gain: 40 },
  { lengths: [1200, 3, 1024], capacity: 1300 },
];

const LAYOUTS: readonly HeadLayout[] = [
  layout(4, 4, 32, "f32"),
  layout(9, 3, 64, "f32"),
  layout(14, 2, 64, "f16"),
  layout(3, 1, 96, "f16"),
  layout(8, 2, 128, "f16"),
  layout(14, 2, 128, "f32"),
  layout(32, 2, 32, "f16"),
  layout(8, 1, 256, "f16"),
];

for (const { lanes } of attentionVariants(gpu)) {
  // Splits of 64 rows, of more where that would give more than 16.
  const variant = { lanes, minSplitRows: 64, maxSplits: 16 };
  describe(variant.lanes === 0 ? "for GPUs" : `for subgroups of ${variant.lanes}`, () => {
    test("9 heads, 3 KV heads of 64, f16", async () => {
      const heads = layout(9, 3, 64, "f16");
      const attention = await openAttention(gpu, heads, variant);
      for (const one of CASES) await expectDecode(gpu, attention, heads, one);
    });
    for (const heads of LAYOUTS) {
      const { numHeads, numKvHeads, headDim, kvDtype } = heads;
      test(`${numHeads} heads, ${numKvHeads} KV heads of ${headDim}, ${kvDtype}`, async () => {
        const attention = await openAttention(gpu, heads, variant);
        const lengths = Array.from({ length: numKvHeads }, (_, i) => (i * 53 + 37) % 100);
        await expectDecode(gpu, attention, heads, { lengths, capacity: 100 });
      });
    }
  });
}
