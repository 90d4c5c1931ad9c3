import { beforeAll, describe, expect, test } from "vitest";
import type { Engine } from "../../src/index.ts";
import { digits, openTiny } from "./tiny-models.ts";

/** Answers up to the end of the context. */
describe("maxTokens", () => {
  let llama: Engine; // context 2048
  beforeAll(async () => {
    llama = await openTiny("tiny-llama");
  });

  test("left out: to the end of the context", async () => {
    const { tokenIds, finishReason } = await llama.generate(digits(2048 - 20)).result;
    expect(tokenIds).toHaveLength(20);
    expect(finishReason).toBe("length");
  });

  test("left out: 512 at most", async () => {
    const { tokenIds } = await llama.generate("Once upon a time").result;
    expect(tokenIds).toHaveLength(512);
  });

  test("may fill the context to the last token", async () => {
    const { tokenIds, memory } = await llama.generate(digits(2040), { maxTokens: 8 }).result;
    expect(tokenIds).toHaveLength(8);
    expect(memory.kv.layers[0].length).toBe(2047); // the last token has no row
  });
});
