import { expect, test } from "vitest";
import { type CacheOptions, type Engine, InvalidOptionError } from "../../src/index.ts";
import { planMemory } from "../../src/profile.ts";
import { openTiny } from "./tiny-models.ts";

const PROMPT = "The keeper of the weir wrote down the height of the water every morning. ".repeat(
  6,
);
const SNAPKV: CacheOptions = { policy: "snapkv", budget: "25%" };

const engine = await openTiny("tiny-flow");

/** Tokens of an answer, and the bytes and rows that its cache came to. */
async function answer(on: Engine): Promise<object> {
  const { tokenIds, usage, cache, memory } = await on.generate(PROMPT, { maxTokens: 24 }).result;
  return { tokenIds, usage, cache, kv: memory.kv };
}

test("an engine whose cache was set answers as one that was loaded so", async () => {
  const empty = engine.memory().total;
  const full = await answer(engine);
  for (const options of [SNAPKV, { policy: "streaming-llm", budget: 40 } as const]) {
    await engine.setCache(options);
    const loaded = await openTiny("tiny-flow", { cache: options });
    expect(await answer(engine)).toEqual(await answer(loaded));
  }
  await engine.setCache({});
  expect(engine.memory().total).toBe(empty);
  expect(engine.memory().kv.peak).toBe(engine.memory().kv.allocated);
  expect(await answer(engine)).toEqual(full);
});

test("what is refused leaves the cache as it was", async () => {
  await engine.setCache(SNAPKV);
  await answer(engine);
  const before = engine.memory();
  await expect(engine.setCache({ policy: "snapkv", budget: 0 })).rejects.toThrow(
    InvalidOptionError,
  );
  await expect(engine.setCache({ kvDtype: "f32" })).rejects.toThrow(/"f16", as loaded/);
  // Known only with the model: these bytes don't hold its windows and spare rows.
  const small: CacheOptions = { policy: "pyramidkv", budget: "50KB" };
  await expect(engine.setCache(small)).rejects.toThrow(/^budget must be at least \d+ bytes: the w/);
  await expect(openTiny("tiny-flow", { cache: small })).rejects.toThrow(InvalidOptionError);
  expect(engine.memory()).toEqual(before);
});

test("an aborted change leaves the cache as it was", async () => {
  await engine.setCache(SNAPKV);
  await answer(engine);
  const before = { memory: engine.memory(), kept: await engine.keptPositions() };
  const reason = new Error("changed my mind");
  const aborted = { signal: AbortSignal.abort(reason) };
  await expect(engine.setCache({}, aborted)).rejects.toBe(reason);
  await expect(engine.keptPositions(aborted)).rejects.toBe(reason);
  // In the middle, however far it has come.
  for (const turns of [0, 1, 2, 5]) {
    const stop = new AbortController();
    const { signal } = stop;
    const changing = engine.setCache({ policy: "tova", budget: 64 }, { signal });
    for (let turn = 0; turn < turns; turn++) await Promise.resolve();
    stop.abort(reason);
    await expect(changing).rejects.toBe(reason);
  }
  const stop = new AbortController();
  const reading = engine.keptPositions({ signal: stop.signal });
  stop.abort(reason);
  await expect(reading).rejects.toBe(reason);
  expect({ memory: engine.memory(), kept: await engine.keptPositions() }).toEqual(before);
});

test("a call that runs is not disturbed", async () => {
  await engine.setCache({});
  const answering = engine.generate(PROMPT, { maxTokens: 8 });
  const { result } = answering;
  await expect(engine.setCache(SNAPKV)).rejects.toThrow(/second call/);
  expect((await result).cache.policy).toBe("full");
  const switching = engine.setCache(SNAPKV);
  await expect(engine.generate(PROMPT).result).rejects.toThrow(/second call/);
  await switching;
  expect(engine.memory().kv.layers[0]?.capacity).toBe(0);
});

test.each([
  {},
  { policy: "pyramidkv", budget: 96 },
  { policy: "ada-kv", budget: "120KB" },
] as const)("a plan foretells what the ledger says after a prompt: %j", async (cache) => {
  await engine.setCache(cache);
  const { weights } = engine.memory();
  const { usage } = await engine.generate(PROMPT, { maxTokens: 4 }).result;
  const tokens = usage.promptTokens;
  const plan = planMemory({ model: engine.config, weights, tokens, cache });
  const { kv, total, peak } = engine.memory();
  expect([kv.allocated, kv.peak]).toEqual([plan.kv.final, plan.kv.peak]);
  expect(Math.abs(plan.total / total - 1)).toBeLessThan(0.02);
  expect(Math.abs(plan.peak / peak - 1)).toBeLessThan(0.02);
});
