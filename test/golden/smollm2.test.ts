import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openFileSource } from "../../src/cli/file-source.ts";
import { type Engine, loadEngine } from "../../src/index.ts";
import { adapterName, gpu } from "../gpu.ts";
import { emittedTokens, expectGreedy, expectScore } from "./compare.ts";
import { readGolden } from "./format.ts";
import { ModelRun } from "./model-run.ts";

const scores = readGolden("smollm2-score");
const greedies = readGolden("smollm2-greedy");
const model = fileURLToPath(
  new URL(`../../public/models/${scores.header.model.file}`, import.meta.url),
);

/** The type of cache that users get, through the public interface. */
describe(`SmolLM2 on ${adapterName}, cache f16`, () => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await loadEngine(await openFileSource(model), { gpu });
  });
  afterAll(() => engine.destroy());

  test.each(scores.cases)("scores $name", async (golden) => {
    const { logprobs, nll, perplexity, tokenIds } = await engine.score(golden.text, {
      contextTokens: golden.context,
    });
    expect(tokenIds).toEqual(golden.tokenIds);
    expectScore(logprobs, golden, "f16", "SmolLM2");
    const mean = -logprobs.reduce((sum, value) => sum + value, 0) / logprobs.length;
    expect(nll).toBeCloseTo(mean, 6);
    expect(perplexity).toBeCloseTo(Math.exp(mean), 4);
  });

  test.each(greedies.cases)("answers $name", async (golden) => {
    const { prompt, messages, text, promptTokenIds, tokenIds: expected, finishReason } = golden;
    const question = prompt ?? (messages as Parameters<Engine["generate"]>[0]);
    const result = await engine.generate(question, { maxTokens: expected.length }).result;
    expect(result.promptTokenIds).toEqual(promptTokenIds);
    expectGreedy(result.tokenIds, golden, "SmolLM2");
    const toTheEnd = golden.stepsBeforeCloseCall === expected.length;
    expect(result).toMatchObject(toTheEnd ? { text, finishReason } : {});
  });
});

/** Text and score from the same prefill. */
describe(`SmolLM2 on ${adapterName}, cache f32`, () => {
  let run: ModelRun;
  beforeAll(async () => {
    run = await ModelRun.open(model, { kvDtype: "f32" });
  });

  test.each(scores.cases)("continues $name", async (golden) => {
    const greedy = greedies.cases.find(({ name }) => name === golden.name);
    const context = golden.tokenIds.slice(0, golden.context);
    expect(greedy?.promptTokenIds).toEqual(context);
    const { tokenIds, logprobs } = await run.continue(context, {
      greedySteps: emittedTokens(greedy!).length,
      scored: golden.tokenIds.slice(golden.context),
    });
    expectScore(logprobs, golden, "f32", "SmolLM2");
    expectGreedy(tokenIds, greedy!, "SmolLM2, cache f32");
  });
});
