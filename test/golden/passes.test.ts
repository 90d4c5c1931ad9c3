import { beforeAll, describe, expect, test } from "vitest";
import { MODEL_FOLDER } from "../../src/cli/fetch-model.ts";
import { DEFAULT_MODEL } from "../../src/cli/fetch/model-file.ts";
import type { CacheOptions } from "../../src/index.ts";
import { meanDifference } from "./compare.ts";
import { keptPositions, type PassesCase, readGolden } from "./format.ts";
import { ModelRun } from "./model-run.ts";

const { cases, context, tokenIds } = readGolden("passes");

/**
 * As for prompts that are read at once (kvpress.test.ts), with an f32 cache: where roundings of f16 decide in one pass, other
 * rows compete in the next, and rows can't be compared one by one.
 */
const LIMITS = { edge: 2e-4, meanNats: 0.01 };

function optionsOf({ policy, options }: PassesCase): CacheOptions {
  const { budget, windowSize, pool: kind, poolSize: size } = options;
  return { policy, budget, windowSize, pool: { kind, size } };
}

/** Rows that are others than the reference's; fails for one whose score was not near an edge in any pass. */
function countSwaps(
  { name, kept, near }: PassesCase,
  actual: readonly (readonly (readonly number[])[])[],
  tolerance: number,
): number {
  let swaps = 0;
  for (const [l, heads] of kept.entries()) {
    for (const [h, mask] of heads.entries()) {
      const [wanted, got] = [keptPositions(mask), actual[l][h]];
      const close = near[l][h].filter(([, distance]) => distance <= tolerance);
      const mayDiffer = new Set(close.map(([position]) => position));
      const added = without(got, wanted);
      const wrong = [...added, ...without(wanted, got)].filter((at) => !mayDiffer.has(at));
      expect({ name, l, h, wrong }).toEqual({ name, l, h, wrong: [] });
      swaps += added.length;
    }
  }
  return swaps;
}

function without(positions: readonly number[], others: readonly number[]): number[] {
  const all = new Set(others);
  return positions.filter((position) => !all.has(position));
}

describe("a prompt in several passes", () => {
  const kvDtype = "f32";
  let model: ModelRun;
  beforeAll(async () => {
    model = await ModelRun.open(`${MODEL_FOLDER}/${DEFAULT_MODEL.name}`, { kvDtype });
  });

  test.each(cases.map((reference) => [reference.name, reference] as const))(
    "%s",
    async (name, reference) => {
      const options = optionsOf(reference);
      const { result, kept } = await model.score(tokenIds, context, options, reference.passTokens);
      const { cache, logprobs } = result;
      expect(cache).toMatchObject({ passes: reference.passes, evicted: true, tokens: context });
      const sum = (rows: readonly number[]): number => rows.reduce((all, row) => all + row, 0);
      expect(kept.map((heads) => sum(heads.map(({ length }) => length)))).toEqual(
        reference.budgets.map(sum),
      );
      const swaps = countSwaps(reference, kept, LIMITS.edge);
      const nats = meanDifference(logprobs, reference.logprobs);
      console.log(
        `${name}, ${reference.passes} passes: ${swaps} rows swapped, ` +
          `mean ${nats.toExponential(1)} nats`,
      );
      expect(nats).toBeLessThanOrEqual(LIMITS.meanNats);
    },
  );
});
