import { afterAll, beforeAll, expect, test } from "vitest";
import { createCache } from "../../src/cache/create-cache.ts";
import { resolveCacheOptions } from "../../src/cache/options.ts";
import { fetchModel } from "../../src/cli/fetch-model.ts";
import { prefill } from "../../src/engine/prefill.ts";
import { expectClose, gpu } from "../gpu.ts";
import { documentTokens } from "./documents.ts";
import { type DocumentRow, type PasskeyRow, QualityBench } from "./measure.ts";
import { type Model, openQualityModel } from "./model.ts";
import { nextTokenLogits } from "./next-tokens.ts";
import { type QualityPlan, QUICK_PLAN } from "./plan.ts";
import { TapedCache } from "./tape.ts";

const LAYERS = [0, 7, 29];

/** One policy is enough to see that the measure measures. */
const PLAN: QualityPlan = { ...QUICK_PLAN, policies: QUICK_PLAN.policies.slice(0, 1) };

/** On two idle cores the whole file takes half a minute. */
const PATIENCE_MS = 900_000;

let model: Model;
let bench: QualityBench;

beforeAll(async () => {
  model = await openQualityModel(gpu, await fetchModel());
  bench = await QualityBench.open(model, PLAN);
}, PATIENCE_MS);

afterAll(() => {
  bench.destroy();
  model.destroy();
});

test(
  "a replayed prefill leaves the same cache as a real one",
  { timeout: PATIENCE_MS },
  async () => {
    const { runtime, tokenizer } = model;
    const { gpu: context, cache: before } = runtime;
    const { shape } = before;
    const { prompt, continuation } = documentTokens(tokenizer, PLAN.documents[0], 130, 9);
    const options = {
      policy: "pyramidkv",
      budget: "25%",
      windowSize: 5,
      kvDtype: shape.dtype,
    } as const;
    const open = () => createCache(context, shape, resolveCacheOptions(options, shape.numLayers));
    const [real, replayed, taped] = [
      await open(),
      await open(),
      await TapedCache.open(context, shape),
    ];
    const read = (ids: readonly number[], evict: boolean): Promise<void> =>
      prefill(runtime, Uint32Array.from(ids), async () => {}, {
        promptTokens: prompt.length,
        evict,
      });
    try {
      runtime.cache = real;
      await read(prompt, true);
      const kept = await Promise.all(LAYERS.map((layer) => real.keptPositions(layer)));
      const logits = await nextTokenLogits(runtime, continuation, 9);
      runtime.cache = taped;
      await taped.tape(async () => {
        await read(prompt.slice(0, 100), false);
        await read(prompt.slice(100), false);
      });
      await taped.replay(replayed, 2);
      expect(await Promise.all(LAYERS.map((layer) => replayed.keptPositions(layer)))).toEqual(kept);
      runtime.cache = replayed;
      const again = await nextTokenLogits(runtime, continuation, 9);
      expectClose(again, logits, { atol: 0.02, rtol: 0 });
    } finally {
      runtime.cache = before;
      for (const cache of [real, replayed, taped]) cache.destroy();
    }
  },
);

test(
  "the smaller the budget, the further from the full cache",
  { timeout: PATIENCE_MS },
  async () => {
    const rows: DocumentRow[] = [];
    for (const document of PLAN.documents) rows.push(...(await bench.document(document)));
    expect(rows).toHaveLength(3 * PLAN.budgets.length);
    const at = (budget: number): DocumentRow[] => rows.filter((row) => row.budget === budget);
    const [all, half, few] = [at(100), at(50), at(12)];
    // Nothing is evicted, so nothing differs, not even in the last bit.
    for (const row of all) expect(row).toMatchObject({ kl: 0, agreement: 1, deltaNll: 0 });
    // In the same order: tasks within policies.
    for (const [i, { kl, agreement, bytes }] of half.entries()) {
      expect(kl).toBeGreaterThan(0.001);
      expect(kl).toBeLessThan(0.4);
      expect(agreement).toBeGreaterThan(0.7);
      expect(few[i].kl).toBeGreaterThan(1.5 * kl);
      expect(few[i].agreement).toBeLessThan(agreement);
      expect(few[i].bytes.final).toBeLessThan(0.7 * bytes.final);
    }
  },
);

test("a passkey survives where the question is known", { timeout: PATIENCE_MS }, async () => {
  const rows: PasskeyRow[] = [];
  for (const passkey of PLAN.passkeys) rows.push(...(await bench.passkey(passkey)));
  const found = (policy: string, budget: number): boolean | undefined =>
    rows.find((r) => r.policy === policy && r.budget === budget && r.task === "aware")?.found;
  expect(found("full", 100)).toBe(true);
  expect(found("snapkv, avg 13", 50)).toBe(true);
  expect(found("streaming-llm", 50)).toBe(false);
});
