import { describe, expect, test } from "vitest";
import { adapterName } from "../gpu.ts";
import { emittedTokens, expectGreedy, expectScore } from "./compare.ts";
import { goldenPath, readGolden } from "./format.ts";
import { ModelRun, type ModelRunOptions } from "./model-run.ts";

type Model = "tiny-llama" | "tiny-qwen2" | "tiny-flow";

interface Kind {
  readonly name: string;
  readonly as: Required<ModelRunOptions>["as"];
  readonly models: readonly Model[];
}

/**
 * Adapters of other kinds than the one under test: whole models run on the kernels that those would get. Each model once: a CPU
 * compiles kernels for GPUs for a minute and more.
 */
const KINDS: readonly Kind[] = [
  {
    name: "a GPU with subgroups",
    as: { isSoftware: false, features: ["subgroups"] },
    models: ["tiny-llama", "tiny-qwen2"],
  },
  {
    name: "a GPU without optional features",
    as: { isSoftware: false, features: [] },
    models: ["tiny-flow"],
  },
  {
    name: "a CPU without optional features",
    as: { isSoftware: true, features: [] },
    models: ["tiny-flow"],
  },
];

describe.each(KINDS)(`${adapterName} taken for $name`, ({ name: kind, as, models }) => {
  test.each(models)("%s", async (name) => {
    const { header, score, greedy, repackedLogprobs } = readGolden(name);
    const model = await ModelRun.open(goldenPath(header.model.file), { kvDtype: "f32", as });
    const { kernel } = model.runtime.linear.choice.matmul;
    expect(kernel).toBe(as.isSoftware ? "matmul_rows" : "matmul_tile");
    const result = await model.continue(greedy.promptTokenIds, {
      greedySteps: emittedTokens(greedy).length,
      scored: score.tokenIds.slice(score.context),
    });
    const what = `${name} on ${kind}`;
    expectScore(result.logprobs, { ...score, logprobs: repackedLogprobs }, "f32", what);
    expectGreedy(result.tokenIds, greedy, what);
  });
});
