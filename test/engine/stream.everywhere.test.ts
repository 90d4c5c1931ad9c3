import { beforeAll, describe, expect, test } from "vitest";
import type { Engine, GenerateOptions, GenerateResult, Piece } from "../../src/index.ts";
import { seededRandom } from "../random.ts";
import { openTiny, patchUint, tinyFile } from "./tiny-models.ts";

const PROMPT = "Once upon a time";

let engine: Engine;
/** A greedy answer of 120 tokens to `PROMPT`. */
let baseline: GenerateResult;

beforeAll(async () => {
  engine = await openTiny("tiny-flow");
  baseline = await engine.generate(PROMPT, { maxTokens: 120 }).result;
});

/** All pieces of an answer, and its result. */
async function collect(
  options: GenerateOptions,
  on: Engine = engine,
): Promise<{ pieces: Piece[]; result: GenerateResult }> {
  const generation = on.generate(PROMPT, options);
  const pieces: Piece[] = [];
  for await (const piece of generation) pieces.push(piece);
  return { pieces, result: await generation.result };
}

describe("a stream", () => {
  test("of pieces is the answer", async () => {
    const { pieces, result } = await collect({ maxTokens: 120 });
    expect(pieces.map(({ text }) => text).join("")).toBe(result.text);
    expect(pieces.flatMap(({ tokenIds }) => tokenIds)).toEqual(result.tokenIds);
    expect(result.tokenIds).toEqual(baseline.tokenIds);
    expect(result.text).toBe(baseline.text);
    expect(pieces.length).toBeGreaterThan(10);
    // The tiny model writes broken characters as well as whole ones; both must survive the cuts.
    expect(result.text).toMatch(/[a-z]{2}/);
  });

  test("is read once; its result any number of times", async () => {
    const generation = engine.generate(PROMPT, { maxTokens: 4 });
    const [first, second] = await Promise.all([generation.result, generation.result]);
    expect(first).toBe(second);
    expect(first.tokenIds).toEqual(baseline.tokenIds.slice(0, 4));
    await expect(generation[Symbol.asyncIterator]().next()).rejects.toThrow("only once");
  });

  test("says what it took", async () => {
    await engine.generate("Another prompt.", { maxTokens: 1 }).result; // or nothing is left to read
    const { result } = await collect({ maxTokens: 30 });
    const { timings, memory, promptTokenIds } = result;
    expect(timings).toMatchObject({ prefillTokens: promptTokenIds.length, decodeTokens: 29 });
    for (const value of Object.values(timings)) expect(value).toBeGreaterThan(0);
    expect(timings.timeToFirstTokenMs).toBeGreaterThanOrEqual(timings.prefillMs);
    expect(memory.kv.layers.map(({ length }) => length)).toEqual(
      Array.from({ length: 4 }, () => promptTokenIds.length + 29),
    );
  });
});

describe("maxTokens", () => {
  test.each([1, 2, 3, 17, 64, 65, 100])("%i", async (maxTokens) => {
    const { result } = await collect({ maxTokens });
    expect(result.tokenIds).toEqual(baseline.tokenIds.slice(0, maxTokens));
    expect(result.finishReason).toBe("length");
  });
});

describe("stop strings", () => {
  /** Checks that an answer ends before `stop`, and that no part of it got out. */
  async function expectStopped(stop: readonly string[]): Promise<void> {
    const found = stop.filter((text) => baseline.text.includes(text));
    const end = (text: string): number => baseline.text.indexOf(text) + text.length;
    const first = found.toSorted((a, b) => end(a) - end(b) || b.length - a.length)[0];
    const expected = baseline.text.slice(0, end(first) - first.length);
    const { pieces, result } = await collect({ maxTokens: 120, stop });
    const what = JSON.stringify(stop);
    expect({ what, text: result.text, finishReason: result.finishReason }).toEqual({
      ...{ what, text: expected, finishReason: "stop" },
    });
    expect(pieces.map(({ text }) => text).join("")).toBe(expected);
    let emitted = "";
    for (const { text } of pieces) {
      emitted += text;
      expect(expected.startsWith(emitted)).toBe(true);
    }
  }

  test("end the answer wherever they are cut into tokens, and never get out", async () => {
    const random = seededRandom(5);
    for (let i = 0; i < 12; i++) {
      const length = 1 + random.integer(9);
      const at = random.integer(baseline.text.length - length);
      await expectStopped([baseline.text.slice(at, at + length)]);
    }
  });

  test("the one that is complete first counts, the longer one of two", async () => {
    const { text } = baseline;
    await expectStopped([text.slice(60, 66), text.slice(30, 33), "not in the answer"]);
    await expectStopped([text.slice(20, 40), text.slice(22, 24)]);
    await expectStopped([text.slice(23, 27), text.slice(20, 27)]);
  });

  test("end with the token that completes them, however many tokens are read at a time", async () => {
    const { text, tokenIds } = baseline;
    const stop = text.slice(30, 33);
    const { result } = await collect({ maxTokens: 120, stop: [stop] });
    const count = result.tokenIds.length;
    expect(result.tokenIds).toEqual(tokenIds.slice(0, count));
    for (const maxTokens of [count - 1, count]) {
      const shorter = await collect({ maxTokens });
      expect(shorter.result.text.includes(stop)).toBe(maxTokens === count);
    }
  });

  test("that never come leave the answer whole", async () => {
    // Every ending of the text is the beginning of one of them, so it is held back until the end.
    const ending = baseline.text.slice(-12);
    const stop = Array.from({ length: 12 }, (_, i) => `${ending.slice(i)}\u0000`);
    const { result } = await collect({ maxTokens: 120, stop });
    expect(result.text).toBe(baseline.text);
    expect(result.finishReason).toBe("length");
  });

  test("drop the rows of overshot steps", async () => {
    const stop = baseline.text.slice(20, 26);
    const { result } = await collect({ maxTokens: 120, stop: [stop] });
    const { length } = result.memory.kv.layers[0];
    expect(length).toBeLessThanOrEqual(result.promptTokenIds.length + result.tokenIds.length);
    expect(engine.memory().kv.layers[0].length).toBe(length);
  });
});

describe("a stop token", () => {
  test.each([0, 1, 40])("that comes as token %i ends the answer there", async (index) => {
    // The first token from there on that did not come before.
    const { tokenIds } = baseline;
    const at = tokenIds.findIndex((id, i) => i >= index && tokenIds.indexOf(id) === i);
    const file = patchUint(tinyFile("tiny-flow"), "tokenizer.ggml.eos_token_id", tokenIds[at]);
    const { pieces, result } = await collect({ maxTokens: 120 }, await openTiny(file));
    expect(result.tokenIds).toEqual(tokenIds.slice(0, at));
    expect(result.finishReason).toBe("stop");
    expect(baseline.text.startsWith(result.text.replace(/\ufffd+$/, ""))).toBe(true);
    expect(pieces.map(({ text }) => text).join("")).toBe(result.text);
    // Later steps append nothing, and the step that chose the stop token appended its input.
    expect(result.memory.kv.layers[0].length).toBe(result.promptTokenIds.length + at);
  });
});

describe("sampling", () => {
  const varied = { temperature: 1.5, topK: 50, topP: 0.98, minP: 0.001, maxTokens: 40 };

  test("gives the same tokens for the same seed, others for another", async () => {
    const ids = async (options: GenerateOptions): Promise<readonly number[]> =>
      (await engine.generate(PROMPT, options).result).tokenIds;
    const first = await ids({ ...varied, seed: 7 });
    expect(first).toHaveLength(40);
    expect(await ids({ ...varied, seed: 7 })).toEqual(first);
    expect(await ids({ ...varied, seed: 8 })).not.toEqual(first);
    expect(await ids(varied)).not.toEqual(await ids(varied));
  });

  test.each([
    ["top-k of one", { temperature: 1, topK: 1 }],
    ["a top-p that one token fills", { temperature: 1, topP: 1e-6 }],
    ["a min-p that only the best reaches", { temperature: 1, minP: 1 }],
    ["a temperature near zero", { temperature: 1e-6 }],
  ])("with %s is greedy", async (_name, options) => {
    const { tokenIds } = await engine.generate(PROMPT, { ...options, maxTokens: 40 }).result;
    expect(tokenIds).toEqual(baseline.tokenIds.slice(0, 40));
  });

  test("a strong repetition penalty leaves no token twice", async () => {
    const options = { repetitionPenalty: 100, maxTokens: 60 };
    const { tokenIds, promptTokenIds } = await engine.generate(PROMPT, options).result;
    const all = [...new Set(promptTokenIds), ...tokenIds];
    expect(new Set(all).size).toBe(all.length);
    expect(new Set(baseline.tokenIds.slice(0, 60)).size).toBeLessThan(60);
  });

  test("leaves no trace in the next answer", async () => {
    await engine.generate(PROMPT, { ...varied, repetitionPenalty: 1.3, seed: 1 }).result;
    const { tokenIds } = await engine.generate(PROMPT, { maxTokens: 40 }).result;
    expect(tokenIds).toEqual(baseline.tokenIds.slice(0, 40));
  });
});

test("a conversation goes through the model's chat template", async () => {
  const result = await engine.generate([{ role: "user", content: "Hi" }], { maxTokens: 5 }).result;
  const raw = await engine.generate("Hi", { maxTokens: 5 }).result;
  expect(result.promptTokenIds.length).toBeGreaterThan(raw.promptTokenIds.length + 3);
  expect(result.tokenIds).toHaveLength(5);
});
