import { beforeAll, describe, expect, test } from "vitest";
import { type CachePolicy, POLICIES, type PolicyName } from "../../src/cache/policy.ts";
import type { CacheOptions, Engine, GenerateResult } from "../../src/index.ts";
import { digits } from "../engine/tiny-models.ts";

const TOKENS = 150;
const BUDGET = 48;
const PROMPT = digits(TOKENS);

const sum = (values: readonly number[]): number =>
  values.reduce((total, value) => total + value, 0);

const answer = (engine: Engine, maxTokens = 24): Promise<GenerateResult> =>
  engine.generate(PROMPT, { maxTokens }).result;

/** Options of a policy that gives it a budget, if it takes one. */
function withBudget(policy: CachePolicy, budget: number | string): CacheOptions {
  const name = policy.name as PolicyName;
  return policy.options.includes("budget") ? { policy: name, budget } : { policy: name };
}

/** What every cache policy has to keep to: run it for each line of the table, on `tiny-flow`. */
export function describePolicy(policy: CachePolicy, engine: Engine): void {
  const evicts = policy.scorer !== null;
  const { windowSize = 8 } = policy.defaults;

  describe(`policy ${policy.name}`, () => {
    let [full, first]: GenerateResult[] = [];
    let kept: number[][][];

    beforeAll(async () => {
      await engine.setCache({});
      full = await answer(engine);
      await engine.setCache(withBudget(policy, BUDGET));
      first = await answer(engine, 1);
      kept = await engine.keptPositions();
    });

    test("stands in the table under its name", () => {
      expect(POLICIES[policy.name as PolicyName]).toBe(policy);
    });

    test("spends its budget to the row, and never more than the prompt", () => {
      const { layers, evicted } = first.cache;
      const { numKvHeads } = engine.config;
      const budgets = layers.map(({ budget }) => budget);
      expect(evicted).toBe(evicts);
      expect(sum(budgets)).toBe(layers.length * (evicts ? BUDGET : TOKENS));
      expect(Math.max(...budgets)).toBeLessThanOrEqual(TOKENS);
      expect(budgets).toEqual(budgets.toSorted((a, b) => b - a));
      const rows = kept.map((heads) => sum(heads.map(({ length }) => length)));
      expect(rows).toEqual(budgets.map((budget) => budget * numKvHeads));
    });

    test("reports every head: they add up to the layer", () => {
      for (const [l, layer] of first.cache.layers.entries()) {
        const { heads, budget, bytes } = layer;
        expect(heads.map(({ length }) => length)).toEqual(kept[l].map(({ length }) => length));
        expect(sum(heads.map((head) => head.budget))).toBe(budget * heads.length);
        expect(sum(heads.map((head) => head.bytes))).toBe(bytes);
        expect(Math.max(...heads.map(({ capacity }) => capacity))).toBe(layer.capacity);
      }
    });

    test("reports every byte: layers add up to the cache, whatever the answer's length", async () => {
      for (const maxTokens of [1, 100]) {
        await engine.setCache(withBudget(policy, BUDGET));
        const { cache, memory } = await answer(engine, maxTokens);
        const { kv } = memory;
        expect(sum(kv.layers.map(({ bytes }) => bytes))).toBe(kv.allocated);
        expect(sum(kv.layers.map(({ fullBytes }) => fullBytes))).toBe(kv.full);
        expect(cache).toMatchObject({ bytes: kv.allocated, fullBytes: kv.full });
        if (evicts) continue;
        expect(kv.layers.map(({ bytes }) => bytes)).toEqual(
          kv.layers.map(({ fullBytes }) => fullBytes),
        );
      }
    });

    test("keeps positions of the prompt, ascending, each once, and all of the window", () => {
      const window = Array.from({ length: windowSize }, (_, i) => TOKENS - windowSize + i);
      for (const positions of kept.flat()) {
        const unique = new Set(positions);
        expect(positions).toEqual([...unique].toSorted((a, b) => a - b));
        expect(positions.every((at) => Number.isInteger(at) && at >= 0 && at < TOKENS)).toBe(true);
        expect(window.filter((at) => !unique.has(at))).toEqual([]);
      }
    });

    test("decodes with at most 8 dispatches per layer", async () => {
      await engine.setCache(withBudget(policy, BUDGET));
      const { cache } = await answer(engine, 4);
      expect(cache.evicted).toBe(evicts);
      // The embedding before the layers; the logits and the greedy choice (two) after them.
      const inLayers = engine.dispatchesPerToken - 4;
      expect(inLayers / engine.config.numLayers).toBeGreaterThanOrEqual(6);
      expect(inLayers / engine.config.numLayers).toBeLessThanOrEqual(8);
    });

    test("does the same again", async () => {
      await engine.setCache(withBudget(policy, BUDGET));
      const again = await answer(engine, 1);
      expect(again.tokenIds).toEqual(first.tokenIds);
      expect(again.cache).toEqual(first.cache);
      expect(await engine.keptPositions()).toEqual(kept);
    });

    test("changes no bit where the budget is the prompt", async () => {
      const rest = [...full.promptTokenIds, ...full.tokenIds];
      const score = async (options: CacheOptions): Promise<readonly number[]> => {
        await engine.setCache(options);
        return (await engine.score(rest, { contextTokens: TOKENS })).logprobs;
      };
      const wanted = await score({});
      expect(await score(withBudget(policy, TOKENS))).toEqual(wanted);
      await engine.setCache(withBudget(policy, TOKENS));
      const { tokenIds, cache } = await answer(engine);
      expect(tokenIds).toEqual(full.tokenIds);
      expect(cache.evicted).toBe(false);
    });

    test("spends no byte more than a budget in bytes, whatever the answer's length", async () => {
      const bytes = 200_000;
      await engine.setCache(withBudget(policy, `${bytes}B`));
      const { memory, cache } = await answer(engine, 300);
      expect(cache.evicted).toBe(evicts);
      const limit = evicts ? bytes : memory.kv.full;
      expect(memory.kv.allocated).toBeLessThanOrEqual(limit);
      expect(memory.kv.allocated).toBeGreaterThan(0.95 * limit);
      // A text that is scored goes on without eviction: the report is from before that.
      const { cache: scored } = await engine.score(digits(400), { contextTokens: TOKENS });
      expect(scored.bytes).toBeLessThanOrEqual(evicts ? bytes : scored.fullBytes);
      expect(scored.bytes).toBeGreaterThan(0.95 * (evicts ? bytes : scored.fullBytes));
      expect(scored.evicted).toBe(evicts);
    });
  });
}
