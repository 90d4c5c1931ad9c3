import { beforeAll, expect, test } from "vitest";
import type { KvShape } from "../../src/cache/layout.ts";
import { resolveCacheOptions } from "../../src/cache/options.ts";
import { type PromptPlan, planPrompt } from "../../src/cache/plan-prompt.ts";
import type { CacheOptions, Engine, LayerMemory, MemoryReport } from "../../src/index.ts";
import { story } from "./chat.ts";
import { textModel } from "./text-model.ts";
import { digits, openTiny } from "./tiny-models.ts";

const PYRAMID: CacheOptions = { policy: "pyramidkv", budget: 256 };
const ANSWER_TOKENS = 3000;

let engine: Engine;
beforeAll(async () => {
  engine = await openTiny(await textModel());
});

/** What the scheduler plans for a first prompt. */
function planned(options: CacheOptions, tokens: number): PromptPlan {
  const { numLayers, numHeads, numKvHeads, headDim } = engine.config;
  const shape: KvShape = { numLayers, numHeads, numKvHeads, headDim, dtype: "f16" };
  return planPrompt(shape, resolveCacheOptions(options, numLayers), tokens);
}

test("an answer of 3,000 tokens costs no byte and no row more than its first ones", async () => {
  await engine.setCache(PYRAMID);
  const bytes = new Set<number>();
  const capacities = new Set<string>();
  const dispatches = new Set<number>();
  /** Tokens seen by the last compression, as the answer goes on. */
  const compressions = new Set<number>();
  const options = { maxTokens: ANSWER_TOKENS, temperature: 1, topK: 40, seed: 3 };
  const answer = engine.generate(story(760), options);
  for await (const { text } of answer) {
    expect(text).toMatch(/^[ -~]*$/);
    const { kv } = engine.memory();
    bytes.add(kv.allocated);
    compressions.add(kv.tokens);
    capacities.add(kv.layers.map(({ capacity }) => capacity).join());
    dispatches.add(engine.dispatchesPerToken);
    expect(kv.layers.every(({ length, capacity }) => length <= capacity)).toBe(true);
  }
  const { text, tokenIds, promptTokenIds, cache, memory } = await answer.result;
  expect(tokenIds).toHaveLength(ANSWER_TOKENS);
  expect(promptTokenIds.length).toBeGreaterThan(600);
  expect(cache.evicted).toBe(true);

  const plan = planned(PYRAMID, promptTokenIds.length);
  expect([...bytes]).toEqual([plan.bytes.final]);
  expect(compressions.size).toBe(1 + Math.floor((ANSWER_TOKENS - 2) / plan.spareRows));
  // The work of a step follows from the rows that there may be: the last steps take as long as the first.
  expect({ capacities: capacities.size, dispatches: dispatches.size }).toEqual({
    capacities: 1,
    dispatches: 1,
  });
  const layerBytes = 2 * promptTokenIds.length * 2 * 32 * 2; // keys and values, 2 KV heads of 32, f16
  expect(memory.kv.peak).toBeLessThanOrEqual(1.1 * (layerBytes + plan.bytes.final));
  expect(memory.kv.saved).toBeGreaterThan(0.8 * memory.kv.full);

  const words = text.slice(-1000).split(" ");
  expect(new Set(words).size).toBeGreaterThan(20);

  const seen = [...promptTokenIds, ...tokenIds].slice(0, cache.tokens);
  await engine.setCache({});
  const full = (await engine.generate(seen, { maxTokens: 1 }).result).memory;
  expect(memory.kv.full).toBe(full.kv.allocated);
});

// With its 99 rows of answer, 157 tokens fill the first rows of a full cache to the last one.
test.each([1, 157, 158, 600])(
  "kv.full is what policy full allocates: %i tokens",
  async (tokens) => {
    const run = async (cache: CacheOptions): Promise<MemoryReport> => {
      await engine.setCache(cache);
      return (await engine.generate(digits(tokens), { maxTokens: 100 }).result).memory;
    };
    const compressed = await run({ policy: "pyramidkv", budget: 64 });
    const full = await run({});
    expect(compressed.kv.full).toBe(full.kv.allocated);
    expect(compressed.kv.saved).toBe(full.kv.allocated - compressed.kv.allocated);
    const bytes = ({ fullBytes }: LayerMemory): number => fullBytes;
    expect(compressed.kv.layers.map(bytes)).toEqual(full.kv.layers.map(bytes));
  },
);
