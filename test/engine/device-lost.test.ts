import { afterEach, describe, expect, test } from "vitest";
import {
  bufferSource,
  type CacheOptions,
  createSession,
  DeviceLostError,
  type Engine,
  type GenerateOptions,
  type GenerateResult,
  type LayerMemory,
  loadEngine,
} from "../../src/index.ts";
import { story } from "./chat.ts";
import { type FaultyGpu, faultyGpu } from "./faulty-gpu.ts";
import { textModel } from "./text-model.ts";
import { digits, tinyFile } from "./tiny-models.ts";

const file = await textModel();
const opened: Engine[] = [];

async function open(
  cache: CacheOptions = {},
): Promise<{ readonly faulty: FaultyGpu; readonly engine: Engine }> {
  const faulty = faultyGpu();
  const source = bufferSource(file.slice(), "tiny.gguf");
  const engine = await loadEngine(source, { gpu: faulty.gpu, cache });
  opened.push(engine);
  return { faulty, engine };
}

afterEach(async () => {
  for (const engine of opened.splice(0)) await engine.destroy();
});

/** Loses the device when it is called for the `count`-th time. */
function loseAt(faulty: FaultyGpu, ...counts: readonly number[]): () => void {
  let calls = 0;
  return () => {
    if (counts.includes(++calls)) faulty.lose();
  };
}

/** A report without what is measured: kernels that read an answer round in another way than those that write one. */
function withoutMass<T extends { readonly layers: readonly LayerMemory[] }>(report: T): T {
  return { ...report, layers: report.layers.map((layer) => ({ ...layer, keptMass: [] })) };
}

/** The error of a promise that must fail. */
async function failure(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => expect.fail("it should have failed"),
    (error: unknown) => error,
  );
}

const PROMPT = story(150);
const ANSWERS: readonly (readonly [string, CacheOptions, GenerateOptions])[] = [
  ["greedy", {}, { maxTokens: 60 }],
  [
    "sampled, with penalties and log-probabilities",
    {},
    {
      maxTokens: 60,
      temperature: 1,
      seed: 5,
      repetitionPenalty: 1.2,
      frequencyPenalty: 1,
      logprobs: 2,
    },
  ],
  ["compressed", { policy: "pyramidkv", budget: 64 }, { maxTokens: 60 }],
];

describe.each(ANSWERS)(
  "an answer goes on when the device is lost, %s:",
  (_name, cache, options) => {
    /** The text and tokens that come, with `onPiece` called after each piece. */
    async function stream(engine: Engine, onPiece: () => void, onPrefill = (): void => {}) {
      const generation = engine.generate(PROMPT, { ...options, onPrefill });
      let text = "";
      const tokenIds: number[] = [];
      for await (const piece of generation) {
        text += piece.text;
        tokenIds.push(...piece.tokenIds);
        onPiece();
      }
      const result = await generation.result;
      expect({ text, tokenIds }).toEqual({ text: result.text, tokenIds: result.tokenIds });
      return { text, tokenIds, finishReason: result.finishReason, told: result.logprobs?.length };
    }

    test("the same text, without a gap or a repetition", async () => {
      const { faulty, engine } = await open(cache);
      const expected = await stream(engine, () => {});
      expect(await stream(engine, loseAt(faulty, 2, 5))).toEqual(expected);
      expect(faulty.devices()).toBe(3);
      expect(engine.memory().total).toBe(faulty.liveBytes());
      await engine.generate(digits(20), { maxTokens: 1 }).result; // what follows does not begin in the cache
      // In the prefill, and then before the first token was seen.
      expect(await stream(engine, loseAt(faulty, 1), loseAt(faulty, 2))).toEqual(expected);
      expect(faulty.devices()).toBe(5);
    });

    test("the next turn is the same as after an answer that was not disturbed", async () => {
      const { faulty, engine } = await open(cache);
      const turns = async (moment: number): Promise<readonly number[]> => {
        const session = createSession(engine);
        const lose = loseAt(faulty, moment);
        for await (const piece of session.generate(PROMPT, options)) {
          expect(piece.tokenIds.length).toBeGreaterThan(0);
          lose();
        }
        const next = await session.generate(story(30, 1), { maxTokens: 20 }).result;
        expect(next.usage.cachedTokens).toBeGreaterThan(150);
        return next.tokenIds;
      };
      const expected = await turns(-1);
      await engine.generate(digits(20), { maxTokens: 1 }).result;
      expect(await turns(3)).toEqual(expected);
    });
  },
);

test.each<readonly [string, CacheOptions]>([
  ["full", {}],
  ["pyramidkv", { policy: "pyramidkv", budget: 64 }],
  ["equal layers", { policy: "snapkv", budget: 48 }],
  ["ragged heads", { policy: "ada-kv", budget: 48 }],
  ["bytes", { policy: "pyramidkv", budget: "200KB" }],
])("reports and memory are as if no device had been lost: %s", async (_name, cache) => {
  const { faulty, engine } = await open(cache);
  // More than two compressions' spare rows, and some more.
  const options = { maxTokens: 150 };
  const run = async (loseAfter = Infinity): Promise<GenerateResult> => {
    const generation = engine.generate(PROMPT, options);
    let [tokens, isLost] = [0, false];
    for await (const piece of generation) {
      tokens += piece.tokenIds.length;
      if (!isLost && tokens >= loseAfter) faulty.lose();
      isLost ||= tokens >= loseAfter;
    }
    return generation.result;
  };
  const told = ({ cache: report, memory: { kv }, tokenIds }: GenerateResult): object => ({
    tokenIds: tokenIds.length,
    report: withoutMass(report),
    kv: { ...withoutMass(kv), peak: 0 },
  });
  const expected = await run();
  for (const after of [20, 70, 140]) {
    await engine.generate(digits(20), { maxTokens: 1 }).result; // what follows does not begin in the cache
    const before = faulty.devices();
    const result = await run(after);
    expect(faulty.devices()).toBe(before + 1);
    expect(told(result)).toEqual(told(expected));
    const [masses, wanted] = [result, expected].map(({ cache: { layers } }) =>
      layers.flatMap(({ keptMass }) => keptMass),
    );
    for (const [i, mass] of masses.entries()) expect(mass).toBeCloseTo(wanted[i], 1);
  }
});

test("the third loss in one answer ends it, with the text so far, and the engine works on", async () => {
  const { faulty, engine } = await open();
  const whole = await engine.generate(PROMPT, { maxTokens: 300 }).result;
  await engine.generate(digits(20), { maxTokens: 1 }).result;
  const lose = loseAt(faulty, 2, 3, 4);
  let text = "";
  const read = async (): Promise<void> => {
    for await (const piece of engine.generate(PROMPT, { maxTokens: 300 })) {
      text += piece.text;
      lose();
    }
  };
  const error = await failure(read());
  expect(error).toBeInstanceOf(DeviceLostError);
  expect(error).toMatchObject({ text, reason: "unknown" });
  expect(text.length).toBeGreaterThan(0);
  expect(whole.text.startsWith(text)).toBe(true);
  expect((await engine.generate(PROMPT, { maxTokens: 300 }).result).text).toBe(whole.text);
  expect(faulty.devices()).toBe(4);
});

test("when there is no other device, the error says so, with the text so far", async () => {
  const { faulty, engine } = await open();
  let text = "";
  const read = async (): Promise<void> => {
    for await (const piece of engine.generate(PROMPT, { maxTokens: 300 })) {
      text += piece.text;
      faulty.removeAdapter();
      faulty.lose();
    }
  };
  const error = await failure(read());
  expect(error).toBeInstanceOf(DeviceLostError);
  expect(error).toMatchObject({ text });
  let cause = error as Error;
  while (cause.cause instanceof Error) cause = cause.cause;
  expect(cause.name).toBe("WebGpuUnavailableError");
  await engine.destroy();
  expect(engine.memory().total).toBe(0);
  expect(faulty.liveBytes()).toBe(0);
});

describe("between calls and in others:", () => {
  test("a device that was lost while nothing ran is replaced by the next call", async () => {
    const { faulty, engine } = await open();
    const expected = await engine.generate(PROMPT, { maxTokens: 10 }).result;
    for (const call of [
      async () => {
        const result = await engine.generate(PROMPT, { maxTokens: 10 }).result;
        expect(result.tokenIds).toEqual(expected.tokenIds);
        expect(result.usage.cachedTokens).toBe(0);
      },
      async () => expect(await engine.read(PROMPT)).toMatchObject({ cachedTokens: 0 }),
      () => engine.setCache({ policy: "snapkv", budget: 80 }),
      () => engine.score(PROMPT, { contextTokens: 10 }),
    ]) {
      const before = faulty.devices();
      faulty.lose();
      await call();
      expect(faulty.devices()).toBe(before + 1);
      expect(engine.memory().total).toBe(faulty.liveBytes());
    }
  });

  test("a device that can't be had for a moment is asked for again, twice at most", async () => {
    const { faulty, engine } = await open();
    for (const call of [
      () => engine.generate(PROMPT, { maxTokens: 3 }).result,
      () => engine.read(PROMPT),
    ]) {
      const before = { devices: faulty.devices(), requests: faulty.requests() };
      faulty.lose();
      faulty.removeAdapter(1);
      await call();
      expect(faulty.devices()).toBe(before.devices + 1);
      faulty.lose();
      faulty.removeAdapter(2);
      expect(await failure(call())).toMatchObject({ code: "device-lost", text: "" });
      expect(faulty.requests()).toBe(before.requests + 4);
      await call();
      expect(faulty.devices()).toBe(before.devices + 2);
    }
  });

  test("a call that is aborted while it waits for a device ends with the signal's reason", async () => {
    const { faulty, engine } = await open();
    const reason = new Error("no time");
    for (const moment of ["the device is opened", "another one is waited for"]) {
      const stop = new AbortController();
      const { signal } = stop;
      const before = faulty.requests();
      faulty.lose();
      if (moment !== "the device is opened") faulty.removeAdapter(1);
      const ended = failure(engine.generate(PROMPT, { signal }).result);
      while (faulty.requests() === before) await new Promise((resolve) => setTimeout(resolve));
      stop.abort(reason);
      expect([moment, await ended]).toEqual([moment, reason]);
      expect(faulty.requests()).toBe(before + 1);
    }
    await engine.read(PROMPT);
    // In the middle, where what the device was doing fails as well.
    const stop = new AbortController();
    const pieces = engine.generate(PROMPT, { maxTokens: 300, signal: stop.signal });
    const read = async (): Promise<void> => {
      for await (const piece of pieces) {
        expect(piece.tokenIds.length).toBeGreaterThan(0);
        faulty.lose();
        stop.abort(reason);
      }
    };
    const before = faulty.requests();
    expect(await failure(read())).toBe(reason);
    expect(faulty.requests()).toBe(before);
  });

  test("a score and a read begin again", async () => {
    const { faulty, engine } = await open();
    const options = { contextTokens: 300 };
    const expected = await engine.score(digits(700), options);
    const onPrefill = loseAt(faulty, 3);
    const { logprobs } = await engine.score(digits(700), { ...options, onPrefill });
    expect(logprobs).toEqual(expected.logprobs);
    await engine.read(digits(700), { onPrefill: loseAt(faulty, 5) });
    expect(engine.memory().kv.tokens).toBe(700);
    expect(faulty.devices()).toBe(3);
  });

  test("what is lost with the device is not saved as if it were there", async () => {
    const { faulty, engine } = await open();
    await engine.read(PROMPT);
    const saved = await engine.save();
    faulty.lose();
    await expect(engine.save()).rejects.toBeInstanceOf(DeviceLostError);
    await expect(engine.keptPositions()).rejects.toBeInstanceOf(DeviceLostError);
    await engine.restore(saved); // on another device
    expect((await engine.generate(PROMPT, { maxTokens: 3 }).result).usage.cachedTokens).toBe(
      engine.memory().kv.tokens - 2,
    );
  });

  test("an engine that is destroyed while it goes on lets go of everything", async () => {
    const { faulty, engine } = await open();
    const lose = loseAt(faulty, 2);
    let destroyed: Promise<void> | undefined;
    const read = async (): Promise<void> => {
      for await (const piece of engine.generate(PROMPT, { maxTokens: 300 })) {
        expect(piece.tokenIds.length).toBeGreaterThan(0);
        lose();
        if (faulty.devices() === 1) setTimeout(() => (destroyed = engine.destroy()));
      }
    };
    expect(await failure(read())).toMatchObject({ name: "AbortError" });
    await destroyed;
    expect(engine.memory().total).toBe(0);
    expect(faulty.liveBytes()).toBe(0);
  });

  test("a device that is lost while a model is loaded ends the load", async () => {
    for (const share of [0, 0.9]) {
      const faulty = faultyGpu();
      const load = loadEngine(bufferSource(tinyFile("tiny-flow"), "tiny.gguf"), {
        gpu: faulty.gpu,
        onProgress({ stage, loadedBytes, totalBytes }) {
          if (stage === "weights" && loadedBytes >= share * totalBytes) faulty.lose();
        },
      });
      expect(await failure(load)).toBeInstanceOf(DeviceLostError);
      expect(faulty.liveBytes()).toBe(0);
    }
  });
});
