import { beforeAll, beforeEach, describe, expect, test } from "vitest";
import type {
  CacheOptions,
  ChatMessage,
  Engine,
  GenerateResult,
  MemoryReport,
} from "../../src/index.ts";
import { Chat, story } from "./chat.ts";
import { textModel } from "./text-model.ts";
import { digits, openTiny } from "./tiny-models.ts";

/** Among them: rows evicted by every prompt, heads of different lengths, a window longer than messages. */
const CACHES: readonly (readonly [string, CacheOptions])[] = [
  ["full", {}],
  ["pyramidkv", { policy: "pyramidkv", budget: 64 }],
  ["a share", { policy: "snapkv", budget: "40%" }],
  ["ragged heads", { policy: "ada-kv", budget: 48, windowSize: 32 }],
  ["no window", { policy: "knorm", budget: 64 }],
  ["a budget that is used up later", { policy: "pyramidkv", budget: 300 }],
];

let engine: Engine;
let chat: Chat;

beforeAll(async () => {
  engine = await openTiny(await textModel());
});

async function startChat(cache: CacheOptions): Promise<void> {
  await engine.setCache(cache);
  chat = new Chat(engine);
}

/** What a call came to, but for the time that it took. */
function outcome({ tokenIds, text, memory, cache }: GenerateResult): object {
  return { tokenIds, text, kv: { ...memory.kv, peak: 0 }, cache };
}

/** Bytes of keys, values (f16) and positions, without what the layers have together. */
function bytesOfRows({ kv }: MemoryReport): number {
  const rowBytes = 2 * 2 * engine.config.headDim + 4;
  const heads = kv.layers.flatMap((layer) => layer.heads);
  return heads.reduce((sum, { capacity }) => sum + capacity * rowBytes, 0);
}

describe.each(CACHES)("many turns: %s", (_name, cache) => {
  beforeEach(() => startChat(cache));

  test("unchanged history is never read again", async () => {
    let seen = 0;
    for (let turn = 0; turn < 4; turn++) {
      const content = story(120, turn);
      const preview = await engine.previewPrompt([...chat.messages, { role: "user", content }]);
      const { usage, timings, cache: report, promptTokenIds } = await chat.say(content);
      expect(preview.cachedTokens).toBe(usage.cachedTokens);
      expect(preview.tokenIds).toEqual(promptTokenIds);
      expect(usage.cachedTokens).toBe(seen);
      expect(timings.prefillTokens).toBe(usage.promptTokens - seen);
      expect(report).toMatchObject({ passes: 1, tokens: usage.promptTokens + 23 });
      seen = report.tokens;
    }
  });

  test("another answer to the same prompt is the same one, and reads nothing", async () => {
    await chat.say(story(120));
    const first = await chat.say(story(100, 1), { maxTokens: 90 });
    const positions = await engine.keptPositions();
    await chat.again({ temperature: 1.5, seed: 7, maxTokens: 20 });
    for (let round = 0; round < 2; round++) {
      const next = await chat.again({ maxTokens: 90 });
      expect(next.usage).toEqual({ ...first.usage, cachedTokens: first.usage.promptTokens });
      expect(outcome(next)).toEqual(outcome({ ...first, cache: { ...first.cache, passes: 0 } }));
      expect(await engine.keptPositions()).toEqual(positions);
    }
  });

  test("a changed message is answered as if the first one had never been sent", async () => {
    await chat.say(story(120));
    const wanted = await chat.say(story(80, 2));
    const next = await chat.say(story(30, 3));
    await startChat(cache);
    await chat.say(story(120));
    await chat.say(story(150, 1), { maxTokens: 90 });
    chat.takeBack();
    const edited = await chat.say(story(80, 2));
    expect(outcome(edited)).toEqual(outcome(wanted));
    expect(edited.usage).toEqual(wanted.usage);
    expect(outcome(await chat.say(story(30, 3)))).toEqual(outcome(next));
  });

  test("going back two turns finds the right point", async () => {
    const first = await chat.say(story(120));
    const second = await chat.say(story(60, 1));
    await chat.say(story(60, 2));
    chat.takeBack();
    const again = await chat.again();
    expect(again.tokenIds).toEqual(second.tokenIds);
    expect(again.usage.cachedTokens).toBeGreaterThan(first.usage.promptTokens);
    chat.takeBack();
    expect((await chat.again()).tokenIds).toEqual(first.tokenIds);
  });

  test("another conversation begins anew", async () => {
    const first = await chat.say(story(120));
    await chat.say(story(60, 1));
    chat = new Chat(engine);
    const again = await chat.say(story(120));
    expect(again.usage.cachedTokens).toBe(0);
    expect(outcome(again)).toEqual(outcome(first));
  });

  test("an answer that a stop text ended goes on alike, however far the GPU ran ahead", async () => {
    const question = story(120);
    const sampling = { temperature: 1, topK: 8, seed: 11 }; // greedy answers of a random model repeat themselves
    const { text } = await chat.say(question, { ...sampling, maxTokens: 30 });
    const stop = text.slice(-6);
    expect(text.indexOf(stop)).toBe(text.length - 6);
    const answer: ChatMessage = { role: "assistant", content: text };
    const messages: ChatMessage[] = [
      ...chat.messages.slice(0, 1),
      answer,
      { role: "user", content: "why" },
    ];
    const next = await engine.generate(messages, { maxTokens: 24 }).result;
    for (let round = 0; round < 2; round++) {
      await startChat(cache);
      const stopped = await chat.say(question, { ...sampling, stop: [stop], maxTokens: 200 });
      expect(stopped.text + stop).toBe(text);
      const { tokenIds, usage } = await engine.generate(messages, { maxTokens: 24 }).result;
      expect(tokenIds).toEqual(next.tokenIds);
      expect(usage.cachedTokens).toBeGreaterThan(0);
      expect(next.usage.promptTokens - usage.cachedTokens).toBeLessThanOrEqual(33);
    }
  });
});

describe("the last queries", () => {
  const cache: CacheOptions = { policy: "snapkv", budget: 150, windowSize: 48 };

  /** Positions that one compression of a text keeps, of those before `end`. */
  async function keptAtOnce(ids: readonly number[], end: number): Promise<number[][][]> {
    await engine.setCache(cache);
    await engine.score([...ids.slice(0, end), 0], { contextTokens: end });
    return engine.keptPositions();
  }

  const before = (positions: number[][][], end: number): number[][][] =>
    positions.map((layer) => layer.map((head) => head.filter((position) => position < end)));

  /** The same rows, but for a few whose scores differ by a rounding. */
  function expectAlike(actual: number[][][], expected: number[][][]): void {
    expect(actual.map((layer) => layer.map(({ length }) => length))).toEqual(
      expected.map((layer) => layer.map(({ length }) => length)),
    );
    const missing = expected.map((layer, l) =>
      layer.map((head, h) => head.filter((position) => !actual[l][h].includes(position)).length),
    );
    expect(Math.max(...missing.flat())).toBeLessThanOrEqual(1);
  }

  test("rank a message that is shorter than the window, with those of the answer before it", async () => {
    await startChat(cache);
    await chat.say(story(110), { maxTokens: 20 });
    const { promptTokenIds, usage } = await chat.say("and how high was the river", {
      maxTokens: 1,
    });
    const end = promptTokenIds.length;
    expect(end - usage.cachedTokens).toBeLessThan(48);
    expect(end).toBeGreaterThan(150);
    const kept = await engine.keptPositions();
    expect(kept[0][0]).toHaveLength(150);
    expectAlike(kept, await keptAtOnce(promptTokenIds, end));
  });

  test("rank the rows when decode has used up its room", async () => {
    await engine.setCache(cache);
    const { promptTokenIds, tokenIds } = await engine.generate(digits(140), { maxTokens: 100 })
      .result;
    // 140 rows and 64 spare ones: the first eviction comes at 204 tokens.
    const kept = before(await engine.keptPositions(), 204);
    expectAlike(kept, await keptAtOnce([...promptTokenIds, ...tokenIds], 204));
  });
});

describe("host memory", () => {
  test("is not used until something is evicted", async () => {
    await startChat({ policy: "pyramidkv", budget: 400 });
    for (let turn = 0; turn < 3; turn++) {
      const { memory, cache } = await chat.say(story(60, turn), { maxTokens: 5 });
      expect(cache.evicted).toBe(false);
      expect(memory.hostBytes).toBe(0);
    }
  });

  test("holds all rows as they lay before the first eviction, to the byte", async () => {
    await startChat({ policy: "knorm", budget: 300 }); // no window, whose queries would be kept as well
    const { memory } = await chat.say(story(120));
    expect(memory.hostBytes).toBe(0);
    const rowBytes = bytesOfRows(memory);
    const next = await chat.say(story(300, 1));
    expect(next.cache.evicted).toBe(true);
    expect(next.memory.hostBytes).toBe(rowBytes);
  });

  test("holds the rows of two turns at most, and none after another conversation began", async () => {
    await startChat({ policy: "pyramidkv", budget: 64 });
    const bytes: number[] = [];
    for (let turn = 0; turn < 5; turn++) {
      const { memory } = await chat.say(story(100, turn));
      const ring = 4 * 8 * 4 * 32 * 4;
      const rows = bytesOfRows(memory);
      expect(memory.hostBytes).toBeLessThanOrEqual(4 * ring + 2 * rows);
      expect(memory.hostBytes).toBe(engine.memory().hostBytes);
      bytes.push(memory.hostBytes);
    }
    expect(bytes[4]).toBe(bytes[3]);
    expect(bytes[4]).toBeGreaterThan(0);
    await engine.generate(digits(20), { maxTokens: 2 }).result;
    expect(engine.memory().hostBytes).toBe(0);
    await engine.setCache({});
    expect(engine.memory().hostBytes).toBe(0);
  });
});
