import { describe, expect, test } from "vitest";
import { createSampler, TOKEN_SKIPPED, TOKEN_UNSOUND } from "../../src/engine/sampler.ts";
import { UnsupportedModelError } from "../../src/errors.ts";
import type { GpuContext } from "../../src/gpu/device.ts";
import { resolveSampling, type SamplingOptions } from "../../src/sampling/options.ts";
import { randomUnit } from "../../src/sampling/rng.ts";
import { openTestDevice, seededRandom } from "../gpu.ts";
import { argmax } from "../reference/argmax.ts";
import { countToken } from "../reference/count_token.ts";
import { finishStep, type StepState } from "../reference/finish_step.ts";
import { adjust, distributions, draw, isDrawn } from "../reference/sample.ts";
import { runSampler, type SamplerRun, startState } from "./sampler-case.ts";

const gpu = await openTestDevice();

/** The sampler chooses its workgroup sizes by the kind of adapter; both must work on all. */
const KINDS: readonly GpuContext[] = [
  { ...gpu, isSoftware: true },
  { ...gpu, isSoftware: false },
];

type Run = Omit<SamplerRun, "options" | "vocabSize"> & {
  readonly given: SamplingOptions;
  readonly on?: GpuContext;
};

async function sample({ on = gpu, given, ...run }: Run): Promise<StepState> {
  const vocabSize = run.logits.length;
  const options = resolveSampling(given);
  const sampler = await createSampler(on, { vocabSize });
  const after = await runSampler(on, sampler, { ...run, vocabSize, options });
  sampler.destroy();
  return after;
}

/**
 * Draws with one set of logits. Fails on a token that is neither the twin's nor within the twin's
 * tolerance of it; returns how many are not exactly the twin's.
 */
async function expectDraws(
  logits: Float32Array,
  options: SamplingOptions,
  draws: number,
  on = gpu,
): Promise<number> {
  const given = { temperature: 1, seed: 1, ...options };
  const after = await sample({ logits, given, on, before: startState(draws), steps: draws });
  const twins = distributions(logits, resolveSampling(given));
  let borderline = 0;
  after.tokens.forEach((id, step) => {
    const unit = randomUnit(given.seed, step);
    const expected = draw(twins[0], unit);
    if (id === expected) return;
    borderline++;
    if (twins.some((twin) => isDrawn(twin, unit, id))) return;
    const of = `step ${step}, ${JSON.stringify(options)}, ${logits.length} logits`;
    throw new Error(`${of}: got ${id}, expected ${expected} of ${twins[0].ids.length} kept`);
  });
  expect(after.step).toBe(draws);
  return borderline;
}

const OPTIONS: readonly SamplingOptions[] = [
  {},
  { temperature: 0.3 },
  { topK: 1 },
  { topK: 40 },
  { topK: 3000, temperature: 2 },
  { topP: 0.5 },
  { topP: 0.95 },
  { topP: 1e-6 },
  { minP: 0.05 },
  { minP: 1 },
  { topK: 50, topP: 0.9, minP: 0.02, temperature: 0.7 },
  { topK: 1e6, topP: 0.999, temperature: 3, seed: 99 },
];

describe("sampling draws what the twin draws", () => {
  test.each([
    [1, 5],
    [2, 60],
    [257, 150],
    [4099, 60],
  ])("%i logits", async (vocabSize, draws) => {
    const logits = seededRandom(vocabSize).normals(vocabSize, 3);
    for (const options of OPTIONS) {
      const borderline = await expectDraws(logits, options, draws);
      expect(borderline).toBeLessThanOrEqual(draws / 100);
    }
  });

  test.each(KINDS)("on an adapter with isSoftware = $isSoftware", async (on) => {
    const logits = seededRandom(11).normals(1500, 3);
    for (const options of OPTIONS) await expectDraws(logits, options, 10, on);
  });

  test.each([
    [49152, 40],
    [151936, 20],
  ])("%i logits", async (vocabSize, draws) => {
    const logits = seededRandom(vocabSize).normals(vocabSize, 3);
    for (const options of [{}, { topK: 40, topP: 0.9, temperature: 0.8 }, { topP: 0.99 }]) {
      const borderline = await expectDraws(logits, options, draws);
      expect(borderline).toBeLessThanOrEqual(2);
    }
  });

  test("equal logits, ties at the cut, masked logits", async () => {
    const flat = new Float32Array(5000).fill(3);
    for (const options of [{}, { topK: 77 }, { topP: 0.3 }]) await expectDraws(flat, options, 60);
    const tied = seededRandom(6).normals(5000, 2).map(Math.round);
    for (const options of [{ topK: 100 }, { topP: 0.6 }]) await expectDraws(tied, options, 60);
    const masked = new Float32Array(5000).map((_, id) => [-3e38, -Infinity][id % 2]);
    masked[4321] = -2;
    masked[99] = -2.5;
    for (const options of [{}, { topK: 3 }, { topP: 0.9 }]) await expectDraws(masked, options, 60);
  });

  test("temperatures near the ends of the range", async () => {
    const logits = seededRandom(7).normals(1000, 4);
    for (const temperature of [1e-6, 0.01, 100]) {
      await expectDraws(logits, { temperature }, 50);
      await expectDraws(logits, { temperature, topK: 20, topP: 0.9 }, 50);
    }
  });

  test("shares of 4,000 draws match the probabilities", async () => {
    const logits = seededRandom(8).normals(40, 1.2);
    const DRAWS = 4000;
    const given = { temperature: 1, minP: 0.1, seed: 12345 };
    const { tokens } = await sample({ logits, given, before: startState(DRAWS), steps: DRAWS });
    const [{ ids, upTo }] = distributions(logits, resolveSampling(given));
    const chiSquare = ids.reduce((sum, id, i) => {
      const mean = DRAWS * (upTo[i] - (i === 0 ? 0 : upTo[i - 1]));
      return sum + (tokens.filter((token) => token === id).length - mean) ** 2 / mean;
    }, 0);
    expect(tokens.every((token) => ids.includes(token))).toBe(true);
    // About the 99.9th percentile of chi-square.
    const freedom = ids.length - 1;
    expect(freedom).toBeGreaterThan(10);
    expect(chiSquare).toBeLessThan(freedom + 4 * Math.sqrt(2 * freedom));
  });
});

describe("repetition penalty", () => {
  test.each([
    ["greedy", { temperature: 0, repetitionPenalty: 1.3 }],
    ["greedy, below 1", { temperature: 0, repetitionPenalty: 0.7 }],
    ["sampled", { temperature: 0.6, repetitionPenalty: 1.5, topK: 30, topP: 0.9 }],
  ])("%s: tokens of the prompt and of earlier steps count", async (_name, options) => {
    const random = seededRandom(9);
    const given = { ...options, seed: 5 };
    for (const middle of [-1, 1]) {
      const vocabSize = 97;
      const logits = random.normals(vocabSize, 0.05).map((x) => x + middle);
      const STEPS = 40;
      const before = startState(STEPS, { seen: new Set(random.integers(20, vocabSize)) });
      const after = await sample({ logits, given, before, steps: STEPS });
      const twin = structuredClone(before);
      after.tokens.forEach((id, step) => {
        const resolved = resolveSampling(given);
        const unit = randomUnit(given.seed, step);
        const isRight =
          given.temperature === 0
            ? id === argmax(adjust(logits, resolved, twin))
            : distributions(logits, resolved, twin).some((d) => isDrawn(d, unit, id));
        if (!isRight) throw new Error(`step ${step}: got ${id}`);
        finishStep(twin, id, [], 1);
      });
      expect(after).toEqual(twin);
      // Below 1 the first choice only gets better.
      const isVaried = new Set(after.tokens).size > 1;
      expect(isVaried).toBe(given.repetitionPenalty > 1);
    }
  });
});

describe("bias, frequency and presence penalty", () => {
  test.each<[string, SamplingOptions]>([
    ["greedy frequency", { frequencyPenalty: 0.3 }],
    ["greedy presence", { presencePenalty: 1.1 }],
    ["greedy, negative: what came comes again", { frequencyPenalty: -0.5, presencePenalty: -2 }],
    ["greedy bias", { logitBias: { 0: -100, 3: 5, 96: 4.5, 50: 5.2 } }],
    [
      "sampled, all of them",
      {
        temperature: 0.6,
        topK: 30,
        topP: 0.9,
        repetitionPenalty: 1.5,
        frequencyPenalty: 0.7,
        presencePenalty: 0.4,
        logitBias: { 1: 2, 2: -1, 95: 3 },
      },
    ],
  ])("%s", async (_name, options) => {
    const STEPS = 40;
    const given = { temperature: 0, seed: 5, ...options };
    const resolved = resolveSampling(given);
    for (const [vocabSize, on] of [
      [97, KINDS[0]],
      [4099, KINDS[1]],
    ] as const) {
      const logits = seededRandom(vocabSize).normals(vocabSize, 0.4);
      const before = startState(STEPS, { seen: new Set([1, 7, 96]) });
      const after = await sample({ on, logits, given, before, steps: STEPS });
      const twin = { ...structuredClone(before), counts: new Map<number, number>() };
      after.tokens.forEach((id, step) => {
        const unit = randomUnit(given.seed, step);
        const isRight =
          given.temperature === 0
            ? id === argmax(adjust(logits, resolved, twin))
            : distributions(logits, resolved, twin).some((d) => isDrawn(d, unit, id));
        if (!isRight) throw new Error(`step ${step} of ${vocabSize} logits: got ${id}`);
        finishStep(twin, id, [], 1);
        countToken(twin.counts, id);
      });
      const { counts: _, ...state } = twin;
      expect(after).toEqual(state);
    }
  });

  test("a sampler forgets the answer before, its bias and its counts", async () => {
    const vocabSize = 33;
    const logits = seededRandom(3).normals(vocabSize, 0.1);
    const sampler = await createSampler(gpu, { vocabSize });
    const run = async (given: SamplingOptions): Promise<readonly number[]> => {
      const options = resolveSampling(given);
      const before = startState(9);
      const all = { vocabSize, logits, options, before, steps: 9 };
      return (await runSampler(gpu, sampler, all)).tokens;
    };
    const first = await run({ presencePenalty: 2 });
    expect(new Set(first).size).toBe(9);
    expect(await run({ logitBias: { 4: 50 } })).toEqual(first.map(() => 4));
    expect(await run({ presencePenalty: 2 })).toEqual(first);
    expect(await run({})).toEqual(first.map(() => first[0]));
    sampler.destroy();
  });

  test("a bias makes no number out of NaN or infinity", async () => {
    for (const bad of [NaN, Infinity]) {
      const logits = seededRandom(3).normals(100);
      logits[17] = bad;
      const given = { logitBias: { 17: -100 }, frequencyPenalty: 1 };
      const after = await sample({ logits, given, before: startState(1) });
      expect(after.tokens).toEqual([TOKEN_UNSOUND]);
    }
  });
});

describe("the end of a sampled step", () => {
  const given = { temperature: 1, topK: 10, topP: 0.95, seed: 4 };
  const logits = seededRandom(10).normals(1000);

  test.each([true, false])("advance %s, stop tokens, done from the start", async (advance) => {
    const plain = await sample({ logits, given, advance, before: startState(6), steps: 6 });
    for (const on of KINDS) {
      for (const change of [{}, { done: true }, { step: 2, seen: new Set([999]) }]) {
        const before = startState(6, change);
        const stopIds = [plain.tokens[2], 1000];
        const after = await sample({ on, logits, given, advance, before, stopIds, steps: 4 });
        const twin = structuredClone(before);
        for (let i = 0; i < 4; i++) {
          finishStep(twin, plain.tokens[(before.step + i) % 6], stopIds, advance ? 1 : 0);
        }
        expect(after).toEqual(twin);
      }
    }
  });

  test.each([{ temperature: 1 }, given, { temperature: 0, repetitionPenalty: 2 }])(
    "NaN, +inf or nothing but -inf end the generation: %o",
    async (options) => {
      const broken = [logits.slice(), logits.slice(), new Float32Array(1000).fill(-Infinity)];
      broken[0][567] = NaN;
      broken[1][999] = Infinity;
      for (const unsound of broken) {
        const before = startState(3, { seen: new Set([567]) });
        const after = await sample({ logits: unsound, given: options, before, steps: 2 });
        const twin = structuredClone(before);
        finishStep(twin, TOKEN_UNSOUND, [], 1);
        finishStep(twin, TOKEN_SKIPPED, [], 1);
        expect(after).toEqual(twin);
      }
    },
  );
});

describe("createSampler", () => {
  test("refuses options that were not prepared, and vocabularies beyond its counters", async () => {
    const sampler = await createSampler(gpu, { vocabSize: 8 });
    const unprepared = {
      ...sampler,
      begin: async () => {},
      logprobs: undefined,
      record: sampler.record.bind(sampler),
    };
    const attempt = runSampler(gpu, unprepared, {
      vocabSize: 8,
      logits: new Float32Array(8),
      options: resolveSampling({ temperature: 1 }),
      before: startState(1),
    });
    await expect(attempt).rejects.toThrow("not prepared");
    sampler.destroy();
    const tooLarge = createSampler(gpu, { vocabSize: 2 ** 18 + 1 });
    await expect(tooLarge).rejects.toThrow(UnsupportedModelError);
  });

  test("frees what it allocated, however often it was prepared", async () => {
    const before = gpu.buffers.now.total;
    const sampler = await createSampler(gpu, { vocabSize: 49152 });
    const options = resolveSampling({ temperature: 1 });
    await Promise.all([sampler.begin(options), sampler.begin(options)]);
    expect(gpu.buffers.now.total - before).toBe(768 * 8 + 49152 * 4 + 2048 * 4 + 8);
    sampler.destroy();
    expect(gpu.buffers.now.total).toBe(before);
  });
});
