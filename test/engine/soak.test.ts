import { expect, test } from "vitest";
import { bufferSource, type CacheOptions, type Engine, loadEngine } from "../../src/index.ts";
import { liveBytes as heapBytes } from "../live-bytes.ts";
import { Chat, story } from "./chat.ts";
import { faultyGpu } from "./faulty-gpu.ts";
import { digits, openTiny, tinyFile } from "./tiny-models.ts";

const TURNS = 200;
const LOADS = 50;

/** On two idle cores a load takes half a second, on SwiftShader two. */
const PATIENCE_MS = 600_000;

/** What may stay on the JS heap after hundreds of calls: caches of the runtime itself, not of ours. */
const MAX_GROWTH_BYTES = 4_000_000;

const CACHE: CacheOptions = { policy: "pyramidkv", budget: 64 };

test(
  `${TURNS} turns leave the ledger as it was after a few, and the heap flat`,
  async () => {
    const engine = await openTiny("tiny-flow", { cache: CACHE });
    /** Turns of conversations of ten each. */
    const talk = async (turns: number): Promise<void> => {
      for (let turn = 0; turn < turns; turn += 10) {
        const chat = new Chat(engine);
        for (let i = 0; i < 10; i++) await chat.say(story(12, turn + i), { maxTokens: 3 });
      }
      await engine.generate(digits(20), { maxTokens: 2 }).result;
    };
    const held = (): object => {
      const { peak: _peak, peaks: _peaks, kv, ...now } = engine.memory();
      return { ...now, kv: kv.allocated };
    };
    await talk(20);
    const [before, heapBefore] = [held(), heapBytes()];
    await talk(TURNS);
    expect(held()).toEqual(before);
    expect(heapBytes() - heapBefore).toBeLessThan(MAX_GROWTH_BYTES);
  },
  PATIENCE_MS,
);

test(
  `${LOADS} engines that were loaded, used and destroyed leave nothing`,
  async () => {
    const faulty = faultyGpu();
    const file = tinyFile("tiny-flow");
    const once = async (): Promise<void> => {
      const source = bufferSource(file, "tiny.gguf");
      const engine = await loadEngine(source, { gpu: faulty.gpu, cache: CACHE });
      await engine.generate("Hello", { maxTokens: 2 }).result;
      await engine.destroy();
      expect(engine.memory().total).toBe(0);
      expect(faulty.liveBytes()).toBe(0);
    };
    for (let i = 0; i < 5; i++) await once();
    const before = heapBytes();
    for (let i = 0; i < LOADS; i++) await once();
    expect(heapBytes() - before).toBeLessThan(MAX_GROWTH_BYTES);
  },
  PATIENCE_MS,
);

test("two engines in one process answer side by side, each as it does alone", async () => {
  const engines: readonly Engine[] = [
    await openTiny("tiny-flow", { cache: CACHE }),
    await openTiny("tiny-llama"),
  ];
  const answer = async (engine: Engine): Promise<readonly number[]> =>
    (await engine.generate(digits(100), { maxTokens: 30 }).result).tokenIds;
  const alone = [await answer(engines[0]), await answer(engines[1])];
  for (const engine of engines) await engine.generate("Hello", { maxTokens: 1 }).result;
  expect(await Promise.all(engines.map(answer))).toEqual(alone);
  const { total } = engines[1].memory();
  await engines[0].destroy();
  expect(engines[0].memory().total).toBe(0);
  expect(engines[1].memory().total).toBe(total);
  expect(await answer(engines[1])).toEqual(alone[1]);
});
