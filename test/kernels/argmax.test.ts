import { describe, expect, test } from "vitest";
import { createSampler, TOKEN_SKIPPED, TOKEN_UNSOUND } from "../../src/engine/sampler.ts";
import { resolveSampling } from "../../src/sampling/options.ts";
import { openTestDevice, seededRandom } from "../gpu.ts";
import { argmax } from "../reference/argmax.ts";
import { finishStep, type StepState } from "../reference/finish_step.ts";
import { runSampler, type SamplerRun, startState } from "./sampler-case.ts";

const gpu = await openTestDevice();
const greedy = resolveSampling({ temperature: 0 });

/** The twin's state after the steps of a run. */
function expected(run: SamplerRun): StepState {
  const { before, logits, stopIds = [], steps = 1, advance = true } = run;
  const state = structuredClone(before);
  const best = logits[argmax(logits)];
  for (let i = 0; i < steps; i++) {
    const sound = Number.isFinite(best) && !logits.includes(NaN);
    finishStep(state, sound ? argmax(logits) : TOKEN_UNSOUND, stopIds, advance ? 1 : 0);
  }
  return state;
}

async function expectTwin(run: Omit<SamplerRun, "options" | "vocabSize">): Promise<StepState> {
  const vocabSize = run.logits.length;
  const sampler = await createSampler(gpu, { vocabSize });
  const whole = { ...run, vocabSize, options: greedy };
  const after = await runSampler(gpu, sampler, whole);
  sampler.destroy();
  expect(after).toEqual(expected(whole));
  return after;
}

describe("argmax_partial and argmax_step", () => {
  test.each([1, 2, 3, 4, 5, 255, 256, 257, 4095, 4096, 4097, 32000, 49152, 151936])(
    "the best of %i logits",
    async (vocabSize) => {
      const random = seededRandom(vocabSize);
      const logits = random.normals(vocabSize, 4);
      const after = await expectTwin({ logits, before: startState(4) });
      expect(after.token).toBe(argmax(logits));
      logits[vocabSize - 1] = 100;
      expect((await expectTwin({ logits, before: startState(4) })).token).toBe(vocabSize - 1);
    },
  );

  test("equal logits give the lowest id, wherever the equals are", async () => {
    for (const ids of [
      [0, 1],
      [7, 4],
      [300, 4500],
      [4097, 8200, 49151],
      [255, 256, 64],
    ]) {
      const logits = seededRandom(1).uniforms(49152, -9, 2);
      for (const id of ids) logits[id] = 2.5;
      expect((await expectTwin({ logits, before: startState(1) })).token).toBe(Math.min(...ids));
    }
    const flat = new Float32Array(49152).fill(-3);
    expect((await expectTwin({ logits: flat, before: startState(1) })).token).toBe(0);
    const zeros = new Float32Array(300).map((_, i) => (i < 200 ? -0 : 0));
    expect((await expectTwin({ logits: zeros, before: startState(1) })).token).toBe(0);
  });

  test("all logits negative, huge, tiny or -inf but one", async () => {
    const logits = new Float32Array(5000).fill(-3e38);
    logits[4321] = -2.9e38;
    expect((await expectTwin({ logits, before: startState(1) })).token).toBe(4321);
    logits.fill(-Infinity);
    logits[4999] = -7;
    expect((await expectTwin({ logits, before: startState(1) })).token).toBe(4999);
    logits.fill(1e-30);
    logits[3] = 2e-30;
    expect((await expectTwin({ logits, before: startState(1) })).token).toBe(3);
  });

  test.each([
    ["NaN", NaN, 0],
    ["negative NaN", new Float32Array(Uint32Array.of(0xffc00001).buffer)[0], 4097],
    ["+inf", Infinity, 4998],
  ])("%s anywhere ends the generation", async (_name, value, at) => {
    const logits = seededRandom(2).normals(5000);
    logits[at] = value;
    const after = await expectTwin({ logits, before: startState(4), steps: 2 });
    expect(after.tokens).toEqual([TOKEN_UNSOUND, TOKEN_SKIPPED, 0, 0]);
    expect(after.done).toBe(true);
  });

  test("logits that are all -inf end the generation", async () => {
    const logits = new Float32Array(5000).fill(-Infinity);
    expect((await expectTwin({ logits, before: startState(1) })).tokens).toEqual([TOKEN_UNSOUND]);
  });

  test("a stop token ends the generation: later steps append nothing", async () => {
    const logits = seededRandom(3).normals(1000);
    const stopIds = [11, argmax(logits), 12];
    const after = await expectTwin({
      logits,
      stopIds,
      steps: 3,
      before: startState(8, { step: 6 }),
    });
    expect(after.step).toBe(9);
    expect(after.position).toBe(18);
    expect(after.tokens[0]).toBe(TOKEN_SKIPPED);
    const other = await expectTwin({ logits, stopIds: [11, 12], steps: 3, before: startState(8) });
    expect(other.position).toBe(20);
  });

  test("after a prefill neither position nor lengths move", async () => {
    const logits = seededRandom(4).normals(1000);
    const after = await expectTwin({ logits, advance: false, before: startState(8) });
    expect([after.position, ...after.lengths]).toEqual([17, 5, 9, 2, 30, 0]);
  });

  test("every table entry advances, more than there are invocations", async () => {
    const lengths = seededRandom(5).integers(700, 60);
    await expectTwin({
      logits: Float32Array.of(1, 2),
      before: startState(1, { lengths: [...lengths] }),
    });
  });

  test("logits that are too small a buffer are refused", async () => {
    const sampler = await createSampler(gpu, { vocabSize: 5 });
    const run = { vocabSize: 4, logits: Float32Array.of(1, 2, 3, 4), options: greedy };
    const attempt = runSampler(gpu, sampler, { ...run, before: startState(1) });
    await expect(attempt).rejects.toThrow("too small for 5 tokens");
    sampler.destroy();
  });
});
