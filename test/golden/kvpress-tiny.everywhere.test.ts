import { beforeAll, describe, expect, test } from "vitest";
import { meanDifference } from "./compare.ts";
import { goldenPath, readGolden } from "./format.ts";
import { compareKept } from "./kept-rows.ts";
import { optionsOf } from "./kvpress-options.ts";
import { ModelRun } from "./model-run.ts";

const golden = readGolden("kvpress-tiny");
const { tokenIds, context, header } = golden;

/** What rounding the weights' scales moves a score of this model's, relative: it decides between close ones. */
const EDGE = 0.05;

/** With the same rows it is 0.007 nats; one other row weighs 0.07 and more in a random model. */
const MEAN_NATS = 0.2;

/** Share of rows that swap at most. */
const SWAP_SHARE = 0.005;

describe.each(["f32", "f16"] as const)(
  "a score of the engine is kvpress's, cache %s",
  (kvDtype) => {
    let model: ModelRun;
    beforeAll(async () => {
      model = await ModelRun.open(goldenPath(header.model.file), { kvDtype });
    });

    test.each(golden.cases.map((reference) => [reference.name, reference] as const))(
      "%s",
      async (_name, reference) => {
        const options = optionsOf(reference);
        const { result, kept } = await model.score(tokenIds, context, options);
        expect(result.cache.layers.map(({ budget }) => budget)).toEqual(options.layerBudgets);
        const { swaps, rows } = compareKept(reference, kept, EDGE);
        const nats = meanDifference(result.logprobs, reference.logprobs);
        console.log(
          `kvpress-tiny, ${reference.name}, cache ${kvDtype}: ${swaps} of ${rows} rows swapped, ` +
            `mean ${nats.toExponential(1)} nats`,
        );
        expect(swaps / rows).toBeLessThan(SWAP_SHARE);
        expect(nats).toBeLessThan(MEAN_NATS);
      },
    );
  },
);
