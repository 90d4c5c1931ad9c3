import { describe, test } from "vitest";
import { adapterFeatures, openTestDevice } from "../gpu.ts";
import {
  attentionVariants,
  type DecodeCase,
  expectDecode,
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

/** The default model's heads go through all cases. */
const MAIN_LAYOUT = layout(9, 3, 64, "f16");

/** The others go through one case each. */
const LAYOUTS: readonly HeadLayout[] = [
  layout(4, 4, 32, "f32"),
  layout(32, 2, 32, "f16"),
  layout(3, 1, 96, "f16"),
  layout(14, 2, 128, "f32"),
  layout(8, 1, 256, "f16"),
];

const PREFILL_CASES: readonly PrefillCase[] = [
  { kept: [0, 0, 0], start: 0, tokens: 1, statsFrom: 0 },
  { kept: [0, 0, 0], start: 0, tokens: 65, statsFrom: 32 },
  { kept: [0, 0, 0], start: 31, tokens: 6 },
  { kept: [1, 33, 0], start: 0, tokens: 22, statsFrom: 21 },
  { kept: [7, 7, 7], start: 13, tokens: 21, oneBuffer: true, statsFrom: 5 },
  { kept: [64, 2, 31], start: 17, tokens: 15, gain: 40 },
];

const DECODE_CASES: readonly DecodeCase[] = [
  { lengths: [0, 1, 62], capacity: 64 },
  { lengths: [63, 30, 31], capacity: 64, gain: 40 },
  { lengths: [0, 64, 199], capacity: 200 },
  { lengths: [127, 128, 5], capacity: 256, gain: 40 },
  { lengths: [1200, 3, 1024], capacity: 1300 },
];

for (const variant of attentionVariants(gpu)) {
  const { lanes } = variant;
  describe(lanes === 0 ? "attention for GPUs" : `attention for subgroups of ${lanes}`, () => {
    test("9 heads, 3 KV heads of 64, f16: chunks of a prefill", async () => {
      const attention = await openAttention(gpu, MAIN_LAYOUT, variant);
      for (const one of PREFILL_CASES) await expectPrefill(gpu, attention, MAIN_LAYOUT, one);
    });

    test("9 heads, 3 KV heads of 64, f16: decoded tokens", async () => {
      const attention = await openAttention(gpu, MAIN_LAYOUT, variant);
      for (const one of DECODE_CASES) await expectDecode(gpu, attention, MAIN_LAYOUT, one);
    });

    for (const heads of LAYOUTS) {
      const { numHeads, numKvHeads, headDim, kvDtype } = heads;
      test(`${numHeads} heads, ${numKvHeads} KV heads of ${headDim}, ${kvDtype}`, async () => {
        const attention = await openAttention(gpu, heads, variant);
        const kept = Array.from({ length: numKvHeads }, (_, i) => (i * 5) % 9);
        await expectPrefill(gpu, attention, heads, { kept, start: 3, tokens: 37, statsFrom: 20 });
        const lengths = kept.map((_, i) => (i * 53 + 37) % 100);
        await expectDecode(gpu, attention, heads, { lengths, capacity: 100 });
      });
    }
  });
}
