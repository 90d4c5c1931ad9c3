import { beforeAll, describe, expect, test } from "vitest";
import type { Engine } from "../../src/index.ts";
import { goldenPath } from "../golden/format.ts";
import { ModelRun } from "../golden/model-run.ts";
import { seededRandom } from "../random.ts";
import { digits, openTiny } from "./tiny-models.ts";

const randomIds = (count: number): number[] => [
  ...seededRandom(9)
    .integers(count, 500)
    .map((id) => id + 3),
];

describe("a cache that grows while it is in use", () => {
  test.each(["f16", "f32"] as const)(
    "gives the tokens of one that is large at once: %s",
    async (kvDtype) => {
      const run = await ModelRun.open(goldenPath("tiny-llama.gguf"), { kvDtype });
      const context = randomIds(250);
      const grown = await run.continue(context, { greedySteps: 300 });
      expect(run.runtime.cache.region(0).capacity).toBe(768);
      const large = await run.continue(context, { greedySteps: 300, reserve: 1024 });
      expect(run.runtime.cache.region(0).capacity).toBe(1024);
      expect(grown.tokenIds).toHaveLength(300);
      expect(grown.tokenIds).toEqual(large.tokenIds);
    },
  );

  test("holds the rows that a prefill of the same tokens gives", async () => {
    const run = await ModelRun.open(goldenPath("tiny-qwen2.gguf"), { kvDtype: "f32" });
    const context = randomIds(250);
    const { tokenIds } = await run.continue(context, { greedySteps: 280 });
    // The next token after each of these counts, from a prefill instead of single steps.
    for (const count of [5, 6, 7, 100, 261, 262, 263, 279]) {
      const prefilled = await run.continue([...context, ...tokenIds.slice(0, count)], {
        greedySteps: 1,
      });
      expect({ count, token: prefilled.tokenIds[0] }).toEqual({ count, token: tokenIds[count] });
    }
  });

  test("scores the same whether the context was read at once or grew", async () => {
    const engine = await openTiny("tiny-flow", { cache: { kvDtype: "f32" } });
    const ids = randomIds(600);
    const whole = await engine.score(ids, { contextTokens: 520 });
    const grown = await engine.score(ids, { contextTokens: 10 });
    const tail = grown.logprobs.slice(-whole.logprobs.length);
    for (const [i, logprob] of whole.logprobs.entries()) expect(tail[i]).toBeCloseTo(logprob, 4);
  });
});

describe("the full cache's bytes", () => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await openTiny("tiny-flow");
  });
  /** 4 layers, 2 KV heads of 32, keys and values, f16; and the table. */
  const bytes = (rows: number): number => 4 * 2 * 32 * 2 * 2 * rows + 4 * 2 * 16;

  test.each([
    [1, 256],
    [200, 256],
    [255, 256],
    [256, 256],
    [257, 512],
    [512, 512],
    [513, 768],
    [1100, 1280],
  ])("are what is allocated: a prompt of %i tokens, %i rows", async (tokens, rows) => {
    const { memory } = await engine.generate(digits(tokens), { maxTokens: 1 }).result;
    expect(memory.kv).toMatchObject({ allocated: bytes(rows), full: bytes(rows), saved: 0 });
    expect(memory.kv.layers).toMatchObject(
      Array.from({ length: 4 }, () => ({
        capacity: rows,
        length: tokens,
        bytes: bytes(rows) / 4,
        fullBytes: bytes(rows) / 4,
      })),
    );
  });

  test("at every piece of an answer that outgrows its first rows", async () => {
    const seen = new Set<number>();
    for await (const piece of engine.generate(digits(240), { maxTokens: 300 })) {
      const { kv } = engine.memory();
      expect(piece.tokenIds.length).toBeGreaterThan(0);
      expect({ ...kv, layers: [] }).toMatchObject({ full: kv.allocated, saved: 0 });
      seen.add(kv.allocated);
    }
    expect([...seen]).toEqual([bytes(256), bytes(512), bytes(768)]);
  });

  test("are told at every piece of an answer that is compressed, too", async () => {
    const compressed = await openTiny("tiny-flow", { cache: { policy: "knorm", budget: 64 } });
    let tokens = 240 - 1; // the last token of the answer has no row yet
    const seen = new Set<number>();
    for await (const piece of compressed.generate(digits(240), { maxTokens: 40 })) {
      tokens += piece.tokenIds.length;
      const { full } = compressed.memory().kv;
      expect(full).toBe(bytes(Math.ceil(tokens / 256) * 256));
      seen.add(full);
    }
    expect([...seen]).toEqual([bytes(256), bytes(512)]);
  });

  test("hold no more than a layer twice while the cache grows", async () => {
    await engine.generate("x", { maxTokens: 1 }).result;
    const { peak } = (await engine.generate(digits(1200), { maxTokens: 200 }).result).memory.kv;
    expect(peak).toBe(bytes(1536) + (bytes(1280) - 128) / 4);
  });
});
