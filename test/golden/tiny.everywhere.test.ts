import { describe, expect, test } from "vitest";
import { adapterName } from "../gpu.ts";
import { emittedTokens, expectGreedy, expectScore, meanDifference } from "./compare.ts";
import { goldenPath, readGolden } from "./format.ts";
import { ModelRun } from "./model-run.ts";

describe.each(["tiny-llama", "tiny-qwen2", "tiny-flow"] as const)("%s", (name) => {
  const golden = readGolden(name);

  test.each(["f32", "f16"] as const)("score and greedy text, cache %s", async (kvDtype) => {
    const { score, greedy, repackedLogprobs } = golden;
    const model = await ModelRun.open(goldenPath(golden.header.model.file), { kvDtype });
    const context = greedy.promptTokenIds;
    expect(score.tokenIds.slice(0, score.context)).toEqual(context);
    const result = await model.continue(context, {
      greedySteps: emittedTokens(greedy).length,
      scored: score.tokenIds.slice(score.context),
    });
    const what = `${name} on ${adapterName}`;
    // The engine's roundings of weights are meant to be; those of its kernels are under test.
    expectScore(result.logprobs, { ...score, logprobs: repackedLogprobs }, kvDtype, what);
    expect(meanDifference(result.logprobs, score.logprobs)).toBeLessThan(0.015);
    expectGreedy(result.tokenIds, greedy, what);
  });
});
