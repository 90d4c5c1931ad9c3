import { describe, expect, test } from "vitest";
import { diskFolder } from "../../src/cli/file-source.ts";
import { readGguf } from "../../src/formats/gguf.ts";
import {
  type Engine,
  type LoadOptions,
  GpuOutOfMemoryError,
  ShaderError,
  bufferSource,
  loadEngine,
} from "../../src/index.ts";
import { planMemory } from "../../src/profile.ts";
import { goldenPath } from "../golden/format.ts";
import { type FaultyGpu, faultyGpu } from "./faulty-gpu.ts";
import { digits, tinyFile } from "./tiny-models.ts";

async function open(options: LoadOptions = {}): Promise<{ faulty: FaultyGpu; engine: Engine }> {
  const faulty = faultyGpu();
  const source = bufferSource(tinyFile("tiny-flow"), "tiny.gguf");
  return { faulty, engine: await loadEngine(source, { ...options, gpu: faulty.gpu }) };
}

const greedy = async (engine: Engine): Promise<readonly number[]> =>
  (await engine.generate("Hello", { maxTokens: 20 }).result).tokenIds;

/** The error of a promise that must fail. */
async function failure(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => expect.fail("it should have failed"),
    (error: unknown) => error,
  );
}

describe("memory runs out", () => {
  const file = tinyFile("tiny-flow");

  test("while a model is loaded: what it takes, what there was, and nothing stays", async () => {
    const { faulty: loaded, engine } = await open();
    const whole = loaded.liveBytes();
    await engine.destroy();
    // The last one is enough for the model, but not for its self-test.
    for (const limit of [0, whole - 1, whole + 10_000]) {
      const faulty = faultyGpu();
      faulty.limitBytes(limit);
      const error = await failure(loadEngine(bufferSource(file, "tiny.gguf"), { gpu: faulty.gpu }));
      expect(error).toBeInstanceOf(GpuOutOfMemoryError);
      const { bytes, availableBytes = NaN, message } = error as GpuOutOfMemoryError;
      expect(error).toMatchObject({ label: "the model tiny.gguf", allocatedBytes: 0 });
      expect(error).toMatchObject({ smaller: undefined, smallerWeights: undefined });
      expect(bytes).toBeGreaterThan(whole);
      expect(availableBytes).toBeLessThanOrEqual(limit);
      expect(availableBytes).toBeGreaterThan(limit - bytes / 16);
      expect(message).toContain(`${availableBytes} could be had: use a smaller model`);
      expect(faulty.liveBytes()).toBe(0);
    }
  });

  test("while floats are loaded: how they would fit if they were quantised", async () => {
    const folder = diskFolder(goldenPath("hf-llama-f32"));
    /** Loads with so many bytes on the device: how that failed, if it did. */
    const load = async (
      limit: number,
      options: LoadOptions = {},
    ): Promise<GpuOutOfMemoryError | undefined> => {
      const faulty = faultyGpu();
      faulty.limitBytes(limit);
      const opening = loadEngine(folder, { gpu: faulty.gpu, ...options });
      const error = await opening.then(
        (engine) => engine.destroy(),
        (thrown: unknown) => thrown,
      );
      expect(faulty.liveBytes()).toBe(0);
      return error as GpuOutOfMemoryError | undefined;
    };
    const whole = (await load(0))?.bytes as number;
    const eight = await load(whole - 1);
    expect(eight?.smallerWeights).toMatchObject({ weights: "q8" });
    const { bytes = NaN } = eight?.smallerWeights ?? {};
    expect(eight?.message).toContain(`with weights: "q8" it would fit (${bytes} bytes)`);
    expect(bytes).toBeLessThan(0.8 * whole);
    const limit = Math.ceil(1.05 * bytes) - 1; // a byte less than was tried
    const four = await load(limit);
    expect(four?.smallerWeights).toMatchObject({ weights: "q4" });
    expect(await load(limit, { weights: "q4" })).toBeUndefined();
    const none = await load(0.9 * bytes, { weights: "q4" });
    expect(none).toMatchObject({ smallerWeights: undefined, bytes: four?.smallerWeights?.bytes });
  });

  /** Lets a call run with ever more memory until it works; each failure must leave the engine as it was. */
  async function squeeze(
    { faulty, engine }: { faulty: FaultyGpu; engine: Engine },
    call: () => Promise<unknown>,
    stepBytes: number,
  ): Promise<GpuOutOfMemoryError[]> {
    const failures: GpuOutOfMemoryError[] = [];
    const expected = await greedy(engine);
    await engine.generate("Hello", { signal: AbortSignal.abort() }).result.catch(() => {});
    for (let room = 0; ; room += stepBytes) {
      const before = engine.memory();
      faulty.limitBytes(faulty.liveBytes() - before.kv.allocated + room);
      const outcome = await call().catch((error: unknown) => error);
      faulty.limitBytes(Infinity);
      if (!(outcome instanceof Error)) return failures;
      expect(outcome).toBeInstanceOf(GpuOutOfMemoryError);
      failures.push(outcome as GpuOutOfMemoryError);
      const { activations, staging, uniforms, weights } = engine.memory();
      expect({ activations, staging, uniforms, weights }).toEqual({
        activations: before.activations,
        staging: before.staging,
        uniforms: before.uniforms,
        weights: before.weights,
      });
      expect(engine.memory().total).toBe(faulty.liveBytes());
      expect(await greedy(engine)).toEqual(expected);
    }
  }

  test("in a prefill: cache, hidden states, params", async () => {
    const opened = await open();
    const call = (): Promise<unknown> =>
      opened.engine.generate(digits(600), { maxTokens: 1 }).result;
    const failures = await squeeze(opened, call, 128 * 1024);
    const labels = [...new Set(failures.map(({ label }) => label))];
    expect(labels).toEqual([
      "cache read-back", // what a failed call returns to
      "cache rows of 600 tokens",
      "hidden states of 600 tokens",
    ]);
    const rows = failures.find(({ label }) => label.startsWith("cache rows"));
    expect(rows).toMatchObject({ bytes: 2 * 4 * 2 * 768 * 64 });
    await opened.engine.destroy();
  });

  test("for the buffers of sampling", async () => {
    const { faulty, engine } = await open();
    const expected = await greedy(engine);
    const sampled = { temperature: 1, seed: 1, maxTokens: 5 };
    await greedy(engine);
    faulty.limitBytes(faulty.liveBytes());
    const error = await failure(engine.generate("Hello", sampled).result);
    expect(error).toMatchObject({ name: "GpuOutOfMemoryError" });
    faulty.limitBytes(Infinity);
    expect((await engine.generate("Hello", sampled).result).tokenIds).toHaveLength(5);
    expect(await greedy(engine)).toEqual(expected);
    await engine.destroy();
    expect(faulty.liveBytes()).toBe(0);
  });

  test("in a score", async () => {
    const opened = await open();
    const call = (): Promise<unknown> => opened.engine.score(digits(600), { contextTokens: 40 });
    const failures = await squeeze(opened, call, 48 * 1024);
    const labels = [...new Set(failures.map(({ label }) => label))];
    expect(labels).toEqual([
      "logits to score",
      "cache rows of 40 tokens",
      "hidden states of 40 tokens",
      "cache rows of 599 tokens",
      "hidden states of 559 tokens",
    ]);
    await opened.engine.destroy();
  });

  test("while an answer grows: what came stays valid, and the engine usable", async () => {
    const { faulty, engine } = await open();
    const whole = await engine.generate("Hello", { maxTokens: 400 }).result;
    const expected = await greedy(engine);
    let limited = false;
    const received: number[] = [];
    const read = async (): Promise<void> => {
      for await (const { tokenIds } of engine.generate("Hello", { maxTokens: 400 })) {
        received.push(...tokenIds);
        if (!limited) faulty.limitBytes(faulty.liveBytes() + 100_000);
        limited = true;
      }
    };
    const error = await failure(read());
    expect(error).toBeInstanceOf(GpuOutOfMemoryError);
    expect(error).toMatchObject({ label: "cache rows of 257 tokens" });
    expect(received.length).toBeGreaterThan(240);
    expect(whole.tokenIds.slice(0, received.length)).toEqual(received);
    expect(engine.memory().total).toBe(faulty.liveBytes());
    faulty.limitBytes(Infinity);
    expect(await greedy(engine)).toEqual(expected);
    const again = await engine.generate("Hello", { maxTokens: 400 }).result;
    expect(again.tokenIds).toEqual(whole.tokenIds);
    await engine.destroy();
    expect(faulty.liveBytes()).toBe(0);
  });
});

test("a prompt that does not fit comes with a smaller plan, and that one fits", async () => {
  const { faulty, engine } = await open();
  const prompt = digits(600);
  const whole = await engine.generate(prompt, { maxTokens: 1 }).result;
  await engine.setCache({});
  const held = faulty.liveBytes();
  // Between what the model holds and what the prompt took.
  for (const share of [0.6, 0.3]) {
    const limit = held + Math.floor(share * (whole.memory.peak - held));
    faulty.limitBytes(limit);
    const error = await failure(engine.generate(prompt, { maxTokens: 1 }).result);
    expect(error).toBeInstanceOf(GpuOutOfMemoryError);
    const { smaller, message } = error as GpuOutOfMemoryError;
    expect(smaller).toMatchObject({ cache: { policy: "pyramidkv" } });
    if (smaller === undefined) throw new Error("no smaller plan");
    expect(message).toContain(`${smaller.promptTokens} tokens with the cache pyramidkv`);
    expect(smaller.bytes).toBeLessThan(limit - held);
    await engine.setCache(smaller.cache);
    const result = await engine.generate(digits(smaller.promptTokens), { maxTokens: 1 }).result;
    expect(result.cache.evicted).toBe(true);
    expect(result.memory.peak).toBeLessThanOrEqual(limit);
    faulty.limitBytes(Infinity);
    await engine.setCache({});
  }
  await engine.destroy();
});

test("a smaller plan counts the passes in which the engine reads", async () => {
  const hiddenBytes = 100 * 128 * 4; // `tiny-flow` has 128 numbers per hidden state
  const { faulty, engine } = await open({ hiddenBytes });
  const prompt = digits(600);
  const whole = await engine.generate(prompt, { maxTokens: 1 }).result;
  await engine.setCache({});
  const held = faulty.liveBytes();
  faulty.limitBytes(held + Math.floor(0.6 * (whole.memory.peak - held)));
  const error = await failure(engine.generate(prompt, { maxTokens: 1 }).result);
  const {
    promptTokens: tokens = 0,
    cache = {},
    bytes,
  } = (error as GpuOutOfMemoryError).smaller ?? {};
  const model = { ...engine.config, tiesEmbedding: true, qkvBias: false };
  const plan = planMemory({ model, weights: 0, tokens, cache, hiddenBytes });
  expect(plan.passes).toBeGreaterThan(1);
  expect(bytes).toBe(plan.peak - plan.decode.activations - plan.decode.uniforms);
  await engine.destroy();
});

describe("numbers that are not finite", () => {
  test("in the weights end the load", async () => {
    const file = tinyFile("tiny-flow");
    const { tensors } = await readGguf(bufferSource(file, "tiny.gguf"));
    const norm = tensors.get("output_norm.weight");
    if (norm === undefined) throw new Error("the model has no norm");
    new Float32Array(file.buffer, norm.offset, norm.bytes / 4).fill(3e38);
    const faulty = faultyGpu();
    const load = loadEngine(bufferSource(file, "tiny.gguf"), { gpu: faulty.gpu });
    const error = await failure(load);
    expect(error).toBeInstanceOf(ShaderError);
    expect((error as Error).message).toMatch(/self-test.*\n.*not finite/);
    expect(faulty.liveBytes()).toBe(0);
  });

  test.each([0, 1])("while an answer is made end it, at temperature %i", async (temperature) => {
    const { faulty, engine } = await open();
    const received: number[] = [];
    const read = async (): Promise<void> => {
      for await (const { tokenIds } of engine.generate("Hello", { maxTokens: 200, temperature })) {
        received.push(...tokenIds);
        faulty.poison("output_norm.weight");
      }
    };
    const error = await failure(read());
    expect(error).toBeInstanceOf(ShaderError);
    expect((error as Error).message).toContain("logits are not finite");
    expect(received.length).toBeGreaterThan(0);
    expect(received.length).toBeLessThan(200);
    await engine.destroy();
  });
});

test("a kernel that gives wrong results ends the load", async () => {
  const faulty = faultyGpu();
  faulty.miscompile(/^attention_decode/);
  const load = loadEngine(bufferSource(tinyFile("tiny-flow"), "tiny.gguf"), { gpu: faulty.gpu });
  const error = await failure(load);
  expect(error).toBeInstanceOf(ShaderError);
  expect((error as Error).message).toMatch(/self-test.*\n.*prefill and decode disagree/);
  expect(faulty.liveBytes()).toBe(0);
});
