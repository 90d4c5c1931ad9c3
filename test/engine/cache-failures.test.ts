import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  bufferSource,
  type CacheOptions,
  type ChatMessage,
  type Engine,
  GpuOutOfMemoryError,
  loadEngine,
} from "../../src/index.ts";
import { Chat, story } from "./chat.ts";
import { type FaultyGpu, faultyGpu } from "./faulty-gpu.ts";
import { textModel } from "./text-model.ts";

/** Every policy, with a budget that the first message uses up. */
const CACHES: readonly CacheOptions[] = [
  { policy: "full" },
  { policy: "streaming-llm", budget: 48 },
  { policy: "snapkv", budget: 48 },
  { policy: "pyramidkv", budget: 48 },
  { policy: "tova", budget: 48 },
  { policy: "knorm", budget: 48 },
  { policy: "ada-kv", budget: 48 },
];
const REASON = new Error("the user lost interest");
const FIRST = story(120);
const SECOND = story(300, 1);
/** Longer than spare rows: decode has to compress again. */
const LONG_ANSWER = 100;

async function open(): Promise<{ faulty: FaultyGpu; engine: Engine }> {
  const faulty = faultyGpu();
  const source = bufferSource(await textModel(), "tiny.gguf");
  return { faulty, engine: await loadEngine(source, { gpu: faulty.gpu }) };
}

const { faulty, engine } = await open();
afterAll(() => engine.destroy());

describe.each(CACHES)("$policy", (cache) => {
  let chat: Chat;
  let wanted: object;
  let before: object;

  beforeAll(async () => {
    await startChat();
    wanted = await outcome();
  });

  async function startChat(): Promise<void> {
    await engine.setCache(cache);
    chat = new Chat(engine);
    await chat.say(FIRST);
    before = await state();
  }

  /** What the second message is answered, and what the cache came to. */
  async function outcome(): Promise<object> {
    const { tokenIds, usage, memory, cache: report } = await chat.say(SECOND);
    const kept = await engine.keptPositions();
    return { tokenIds, usage, report, kept, kv: { ...memory.kv, peak: 0 } };
  }

  async function state(): Promise<object> {
    const { kv, total, activations, staging, uniforms } = engine.memory();
    const kept = await engine.keptPositions();
    return {
      layers: kv.layers,
      bytes: [kv.allocated, total, activations, staging, uniforms],
      kept,
    };
  }

  /** The cache is as it was before the call, and goes on as if that had never been made. */
  async function expectUntouched(): Promise<void> {
    expect(await state()).toEqual(before);
    expect(engine.memory().total).toBe(faulty.liveBytes());
    expect(await outcome()).toEqual(wanted);
  }

  test("a call that is aborted between two layers' compressions", async () => {
    await startChat();
    const stop = new AbortController();
    let steps = 0;
    const onPrefill = (): void => {
      if (++steps === 5) stop.abort(REASON);
    };
    await expect(chat.say(SECOND, { signal: stop.signal, onPrefill })).rejects.toBe(REASON);
    expect(steps).toBe(5);
    await expectUntouched();
  });

  test("an answer that is aborted when decode has compressed again", async () => {
    await startChat();
    const stop = new AbortController();
    const messages = [...chat.messages, { role: "user", content: SECOND } as const];
    const options = { signal: stop.signal, maxTokens: LONG_ANSWER + 50 };
    const read = async (): Promise<void> => {
      let tokens = 0;
      for await (const piece of engine.generate(messages, options)) {
        tokens += piece.tokenIds.length;
        if (tokens > LONG_ANSWER) stop.abort(REASON);
      }
    };
    await expect(read()).rejects.toBe(REASON);
    await expectUntouched();
  });

  test.each<[string, () => ChatMessage[]]>([
    ["another answer", () => chat.messages.slice(0, -1)],
    ["an edited question", () => [{ role: "user", content: story(90, 2) }]],
    [
      "an edited answer",
      () => [
        ...chat.messages.slice(0, -1),
        { role: "assistant", content: "No." },
        { role: "user", content: SECOND },
      ],
    ],
  ])("%s that is aborted, while it is read and while it is written", async (_, messages) => {
    for (const abortedAt of ["reading", "writing"]) {
      await startChat();
      const stop = new AbortController();
      const { signal } = stop;
      const onPrefill = (): void => (abortedAt === "reading" ? stop.abort(REASON) : undefined);
      const read = async (): Promise<void> => {
        let tokens = 0;
        const options = { signal, onPrefill, maxTokens: LONG_ANSWER };
        for await (const piece of engine.generate(messages(), options)) {
          tokens += piece.tokenIds.length;
          if (tokens > LONG_ANSWER / 2) stop.abort(REASON);
        }
      };
      await expect(read()).rejects.toBe(REASON);
      await expectUntouched();
    }
  });

  test("calls that run out of memory, early and late", async () => {
    await startChat();
    const labels: string[] = [];
    for (let room = 0; ; room += 24_000) {
      faulty.limitBytes(faulty.liveBytes() + room);
      const error: unknown = await chat
        .say(SECOND, { maxTokens: LONG_ANSWER })
        .then(() => undefined)
        .catch((thrown: unknown) => thrown);
      faulty.limitBytes(Infinity);
      if (error === undefined) break;
      expect(error).toBeInstanceOf(GpuOutOfMemoryError);
      labels.push((error as GpuOutOfMemoryError).label);
      expect(await state()).toEqual(before);
    }
    expect(new Set(labels).size).toBeGreaterThan(1);
    await startChat();
    expect(await outcome()).toEqual(wanted);
  });

  test("a device that is lost between two layers' compressions", async () => {
    const lost = await open();
    await lost.engine.setCache(cache);
    let steps = 0;
    const onPrefill = (): void => {
      if (++steps === 3) lost.faulty.lose();
    };
    const expected = await lost.engine.generate(SECOND, { maxTokens: 12 }).result;
    await lost.engine.setCache(cache);
    const result = await lost.engine.generate(SECOND, { maxTokens: 12, onPrefill }).result;
    expect(result.tokenIds).toEqual(expected.tokenIds);
    expect(result.cache).toEqual(expected.cache);
    expect(steps).toBeGreaterThan(3);
    await lost.engine.destroy();
    expect(lost.engine.memory().total).toBe(0);
    expect(lost.faulty.liveBytes()).toBe(0);
  });
});
