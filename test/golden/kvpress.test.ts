import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { MODEL_FOLDER } from "../../src/cli/fetch-model.ts";
import { DEFAULT_MODEL } from "../../src/cli/fetch/model-file.ts";
import type { KvDtype } from "../../src/index.ts";
import { meanDifference } from "./compare.ts";
import {
  type CompressionCase,
  type CompressionGolden,
  keptPositions,
  readGolden,
  readScores,
} from "./format.ts";
import { compareKept } from "./kept-rows.ts";
import { optionsOf } from "./kvpress-options.ts";
import { ModelRun } from "./model-run.ts";
import { type CompressedPrompt, RecordedPrompt } from "./recorded-prompt.ts";

/** How far we may differ: rows at the edge may swap, scores and log-probabilities may round. */
const LIMITS: Readonly<
  Record<
    KvDtype,
    { edge: number; swapShare: number; meanNats: number; scores: number; mass: number }
  >
> = {
  f32: { edge: 2e-4, swapShare: 1, meanNats: 0.01, scores: 1e-4, mass: 1e-5 },
  f16: { edge: 1e-2, swapShare: 0.005, meanNats: 0.03, scores: 2e-2, mass: 1e-3 },
};

/**
 * Largest difference of the attention mass that is kept, over the heads that keep the same rows: another row
 * carries another mass. 0 where the policy has no window.
 */
function massDifference(
  { massKept = [], kept }: CompressionCase,
  actual: CompressedPrompt,
): number {
  const differences = massKept.flatMap((heads, l) =>
    heads.map((share, h) => {
      const isSame = String(keptPositions(kept[l][h])) === String(actual.kept[l][h]);
      return isSame ? Math.abs(actual.keptMass[l][h] - share) : 0;
    }),
  );
  return Math.max(0, ...differences);
}

/** Largest relative difference of the scores that the golden has; 0 where it has none. */
function scoreDifference(reference: CompressionCase, actual: CompressedPrompt): number {
  if (reference.scores === undefined) return 0;
  const wanted = readScores(reference);
  const { numScored, policy } = reference;
  let [most, at] = [0, 0];
  for (const layer of reference.scores.layers) {
    for (let head = 0; head < reference.budgets[layer].length; head++) {
      for (let j = 0; j < numScored; j++) {
        const ranked = actual.scores[layer][head * actual.scoreStride + j];
        // Our key norms are squares: they rank alike.
        const own = policy === "knorm" ? -Math.sqrt(-ranked) : ranked;
        most = Math.max(most, Math.abs(own / wanted[at++] - 1));
      }
    }
  }
  expect(at).toBe(wanted.length);
  return most;
}

describe.each(["kvpress-512", "kvpress-1024"] as const)("%s", (name) => {
  test("budgets differ between layers where the policy is a pyramid", () => {
    const { cases } = readGolden(name);
    const pyramids = cases.filter(({ policy }) => ["pyramidkv", "authors"].includes(policy));
    expect(pyramids.length).toBeGreaterThan(1);
    for (const { budgets } of pyramids) {
      expect(new Set(budgets.map(([rows]) => rows)).size).toBeGreaterThan(20);
    }
  });
});

describe.each(["f32", "f16"] as const)("cache %s", (kvDtype) => {
  const limits = LIMITS[kvDtype];
  let model: ModelRun;
  beforeAll(async () => {
    model = await ModelRun.open(`${MODEL_FOLDER}/${DEFAULT_MODEL.name}`, { kvDtype });
  });

  describe.each(["kvpress-512", "kvpress-1024"] as const)("%s", (name) => {
    const golden: CompressionGolden = readGolden(name);
    let prompt: RecordedPrompt;
    beforeAll(async () => {
      prompt = await RecordedPrompt.run(model, golden.tokenIds, golden.context);
    });
    afterAll(() => prompt.destroy());

    test.each(golden.cases.map((reference) => [reference.name, reference] as const))(
      "%s",
      async (_name, reference) => {
        const actual = await prompt.compress(optionsOf(reference));
        const { swaps, rows } = compareKept(reference, actual.kept, limits.edge);
        const nats = meanDifference(actual.logprobs, reference.logprobs);
        const scores = scoreDifference(reference, actual);
        const mass = massDifference(reference, actual);
        console.log(
          `${name}, ${reference.name}, cache ${kvDtype}: ${swaps} of ${rows} rows swapped, ` +
            `mean ${nats.toExponential(1)} nats, scores within ${scores.toExponential(1)}, ` +
            `kept mass within ${mass.toExponential(1)}`,
        );
        expect(swaps / rows).toBeLessThanOrEqual(limits.swapShare);
        expect(nats).toBeLessThanOrEqual(limits.meanNats);
        expect(scores).toBeLessThanOrEqual(limits.scores);
        expect(mass).toBeLessThanOrEqual(limits.mass);
      },
    );
  });
});
