import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openFileSource } from "../../src/cli/file-source.ts";
import { type Engine, loadEngine } from "../../src/index.ts";
import { adapterName, gpu } from "../gpu.ts";
import { liveBytes } from "../live-bytes.ts";
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
  /** Live bytes on the JS heap, looked at often while the model was loaded, at most; and before and after. */
  const live = { before: 0, peak: 0, after: 0 };
  beforeAll(async () => {
    const source = await openFileSource(model);
    live.before = liveBytes();
    let calls = 0;
    engine = await loadEngine(source, {
      gpu,
      // Collecting garbage takes tens of milliseconds; the weights come in some hundred pieces.
      onProgress: () =>
        (live.peak = calls++ % 16 === 0 ? Math.max(live.peak, liveBytes()) : live.peak),
    });
    live.after = liveBytes();
  });
  afterAll(() => engine.destroy());

  test("loading holds less than 64 MB on the JS heap beside what stays, the tokenizer above all", () => {
    const { before, peak, after } = live;
    const [held, kept] = [(peak - after) / 1e6, (after - before) / 1e6];
    console.log(`loading held ${held.toFixed(1)} MB for a time, ${kept.toFixed(1)} MB stay`);
    expect(held).toBeLessThan(64);
    expect(kept).toBeLessThan(64);
  });

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

  // Those that also have a score are continued from its prefill, below.
  const scored = new Set(scores.cases.map(({ name }) => name));
  const others = greedies.cases.filter(({ name }) => !scored.has(name));
  test.each(others)("answers $name", async (golden) => {
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
