import { describe, test } from "vitest";
import { adapterFeatures, openTestDevice } from "../gpu.ts";
import {
  attentionVariants,
  expectPrefill,
  type HeadLayout,
  openAttention,
  type PrefillCase,
} from "./attention-case.ts";

const subgroups = adapterFeatures.has("subgroups");
const gpu = await openTestDevice({ features: subgroups ? ["subgroups"] : [] });

const layout = (
  numHeads: number,
  numKvHeads: number,
  headDim: number,
  kvDtype: "f16" | "f32",
): HeadLayout => ({ numHeads, numKvHeads, headDim, kvDtype });

/** The shape of the default model gets all cases. */
const CASES: readonly PrefillCase[] = [
  { kept: [0, 0, 0], start: 0, tokens: 1, statsFrom: 0 },
  { kept: [0, 0, 0], start: 0, tokens: 65, statsFrom: 32 },
  { kept: [0, 0, 0], start: 31, tokens: 6 },
  { kept: [1, 33, 0], start: 0, tokens: 22, statsFrom: 21 },
  { kept: [7, 7, 7], start: 13, tokens: 21, oneBuffer: true, statsFrom: 5 },
  { kept: [64, 2, 31], start: 17, tokens: 15, gain: 40 },
];

const LAYOUTS: readonly HeadLayout[] = [
  layout(4, 4, 32, "f32"),
  layout(9, 3, 64, "f32"),
  layout(14, 2, 64, "f16"),
  layout(3, 1, 96, "f16"),
  layout(8, 2, 128, "f16"),
  layout(4, 2, 128, "f32"),
  layout(2, 1, 256, "f16"),
];

for (const variant of attentionVariants(gpu)) {
  describe(variant.lanes === 0 ? "for GPUs" : `for subgroups of ${variant.lanes}`, () => {
    test("9 heads, 3 KV heads of 64, f16", async () => {
      const heads = layout(9, 3, 64, "f16");
      const attention = await openAttention(gpu, heads, variant);
      for (const one of CASES) await expectPrefill(gpu, attention, heads, one);
    });
    for (const heads of LAYOUTS) {
      const { numHeads, numKvHeads, headDim, kvDtype } = heads;
      test(`${numHeads} heads, ${numKvHeads} KV heads of ${headDim}, ${kvDtype}`, async () => {
        const attention = await openAttention(gpu, heads, variant);
        const kept = Array.from({ length: numKvHeads }, (_, i) => (i * 5) % 9);
        await expectPrefill(gpu, attention, heads, { kept, start: 3, tokens: 37, statsFrom: 20 });
      });
    }
  });
}
