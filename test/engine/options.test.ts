import { beforeAll, describe, expect, test } from "vitest";
import type { ChatMessage, Engine, GenerateOptions } from "../../src/index.ts";
import { digits, openTiny } from "./tiny-models.ts";

let engine: Engine;
beforeAll(async () => {
  engine = await openTiny("tiny-llama"); // context 2048
});

const refusal = async (
  prompt: Parameters<Engine["generate"]>[0],
  options: GenerateOptions,
): Promise<Error> =>
  engine.generate(prompt, options).result.then(
    () => expect.fail("it should have been refused"),
    (error: unknown) => error as Error,
  );

describe("an option out of range is refused, with its name and rule:", () => {
  test.each<readonly [GenerateOptions, option: string]>([
    [{ maxTokens: 0 }, "maxTokens"],
    [{ maxTokens: -1 }, "maxTokens"],
    [{ maxTokens: 1.5 }, "maxTokens"],
    [{ maxTokens: NaN }, "maxTokens"],
    [{ maxTokens: "5" as unknown as number }, "maxTokens"],
    [{ temperature: -1 }, "temperature"],
    [{ temperature: 101 }, "temperature"],
    [{ temperature: NaN }, "temperature"],
    [{ temperature: "hot" as unknown as number }, "temperature"],
    [{ topK: -1 }, "topK"],
    [{ topK: 0.5 }, "topK"],
    [{ topP: 0 }, "topP"],
    [{ topP: 1.01 }, "topP"],
    [{ minP: -0.1 }, "minP"],
    [{ minP: 2 }, "minP"],
    [{ repetitionPenalty: 0 }, "repetitionPenalty"],
    [{ repetitionPenalty: Infinity }, "repetitionPenalty"],
    [{ seed: -1 }, "seed"],
    [{ seed: 2 ** 32 }, "seed"],
    [{ seed: 0.5 }, "seed"],
    [{ stop: [""] }, "stop"],
    [{ stop: ["ok", 7 as unknown as string] }, "stop"],
    [{ stop: "end" as unknown as string[] }, "stop"],
  ])("%j", async (options, option) => {
    const error = await refusal("Hello", options);
    expect(error).toMatchObject({ name: "InvalidOptionError", code: "invalid-option", option });
    expect(error.message).toMatch(new RegExp(`^${option} must be .+, got .+`));
  });

  test("prompts that are none", async () => {
    for (const [prompt, option] of [
      ["", "prompt"],
      [[], "messages"],
      [undefined, "messages"],
      [[1, 2, 512], "token id"],
      [[1, -1], "token id"],
      [[{ role: "teacher", content: "Hi" }], "messages[0].role"],
      [[{ role: "user", content: 5 }], "messages[0].content"],
    ] as const) {
      const error = await refusal(prompt as unknown as ChatMessage[], {});
      expect(error).toMatchObject({ name: "InvalidOptionError", option });
    }
  });

  test("token ids and contexts of a score", async () => {
    for (const [ids, option] of [
      [[1, 2, 512], "token id"],
      [[1, -2, 3], "token id"],
      [[1, 2.5, 3], "token id"],
    ] as const) {
      const score = engine.score(ids, { contextTokens: 1 });
      await expect(score).rejects.toMatchObject({ name: "InvalidOptionError", option });
    }
    for (const contextTokens of [0, -1, 1.5, NaN, 3, 4]) {
      const score = engine.score([5, 6, 7], { contextTokens });
      const option = "contextTokens";
      await expect(score).rejects.toMatchObject({ name: "InvalidOptionError", option });
    }
    for (const text of ["", "1"]) {
      const score = engine.score(text, { contextTokens: 1 });
      const message = `text must be at least two tokens long, got ${text.length}`;
      await expect(score).rejects.toMatchObject({ option: "text", message });
    }
  });
});

describe("the context", () => {
  test("is too short for the prompt", async () => {
    for (const count of [2048, 2049, 5000]) {
      const error = await refusal(digits(count), {});
      expect(error).toMatchObject({ name: "ContextLengthError", limit: 2048, tokens: count + 1 });
      expect(error.message).toContain("2048");
    }
  });

  test("is too short for prompt and maxTokens together", async () => {
    const error = await refusal(digits(2000), { maxTokens: 49 });
    expect(error).toMatchObject({ name: "ContextLengthError", limit: 2048, tokens: 2049 });
    expect(error.message).toContain("2000");
    expect(error.message).toContain("49");
  });

  test("is too short for a text to score", async () => {
    const score = engine.score(digits(2049), { contextTokens: 1 });
    await expect(score).rejects.toMatchObject({ name: "ContextLengthError", tokens: 2049 });
  });

  test("holds a text to score to the last token", async () => {
    const { logprobs } = await engine.score(digits(2048), { contextTokens: 2040 });
    expect(logprobs).toHaveLength(8);
  });
});

test("what is refused leaves the engine as it was", async () => {
  const before = (await engine.generate("Hello", { maxTokens: 5 }).result).tokenIds;
  const memory = engine.memory();
  await refusal("Hello", { topP: 7 });
  await refusal(digits(3000), {});
  expect(engine.memory()).toEqual(memory);
  const after = (await engine.generate("Hello", { maxTokens: 5 }).result).tokenIds;
  expect(after).toEqual(before);
});
