import { beforeAll, describe, expect, test } from "vitest";
import type { Engine, GenerateOptions, GenerateResult } from "../../src/index.ts";
import { expectClose } from "../gpu.ts";
import { openTiny } from "./tiny-models.ts";

const PROMPT = "Once upon a time";
const TOLERANCE = { atol: 2e-3, rtol: 2e-3 };

let engine: Engine;
let plain: GenerateResult;
/** Dispatches of a decode step without these options. */
let plainDispatches: number;
beforeAll(async () => {
  engine = await openTiny("tiny-flow");
  plain = await engine.generate(PROMPT, { maxTokens: 40 }).result;
  plainDispatches = engine.dispatchesPerToken;
});

async function answer(options: GenerateOptions): Promise<GenerateResult> {
  return engine.generate(PROMPT, { maxTokens: 40, ...options }).result;
}

/** What `score` says of the answer's tokens: the same forward pass, by other kernels. */
async function scored({ promptTokenIds, tokenIds }: GenerateResult): Promise<readonly number[]> {
  const contextTokens = promptTokenIds.length;
  const { logprobs } = await engine.score([...promptTokenIds, ...tokenIds], { contextTokens });
  return logprobs;
}

describe("logprobs", () => {
  test("are those of score, for each token, in the pieces and in the result", async () => {
    const generation = engine.generate(PROMPT, { maxTokens: 40, logprobs: 20 });
    const told: unknown[] = [];
    for await (const piece of generation) {
      expect(piece.logprobs?.map(({ tokenId }) => tokenId)).toEqual(piece.tokenIds);
      told.push(...(piece.logprobs ?? []));
    }
    const result = await generation.result;
    const logprobs = result.logprobs ?? [];
    expect(logprobs).toEqual(told);
    expect(result.tokenIds).toEqual(plain.tokenIds);
    expect(engine.dispatchesPerToken).toBe(plainDispatches + 2);
    expectClose(
      logprobs.map(({ logprob }) => logprob),
      await scored(result),
      TOLERANCE,
    );
    for (const { tokenId, text, logprob, top } of logprobs) {
      expect(top).toHaveLength(20);
      expect(top[0]).toMatchObject({ tokenId, text, logprob }); // greedy
      expect(top.map((token) => token.logprob)).toEqual(
        top.map((token) => token.logprob).toSorted((a, b) => b - a),
      );
      expect(top.reduce((sum, token) => sum + Math.exp(token.logprob), 0)).toBeLessThanOrEqual(1);
    }
    const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
    const bytes = logprobs.flatMap((token) => token.bytes);
    expect(decoder.decode(Uint8Array.from(bytes))).toBe(result.text);
  });

  test("are the model's own, whatever temperature, bias and penalties do to the choice", async () => {
    const result = await answer({
      ...{ temperature: 1.5, topK: 60, seed: 3, logprobs: 2, repetitionPenalty: 1.4 },
      ...{ frequencyPenalty: 1, presencePenalty: 1.5, logitBias: { 5: 3, 6: -100 } },
    });
    const logprobs = result.logprobs ?? [];
    expect(result.tokenIds).not.toEqual(plain.tokenIds);
    const own = logprobs.map(({ logprob }) => logprob);
    expectClose(own, await scored(result), TOLERANCE);
    expect(logprobs.some(({ tokenId, top }) => tokenId !== top[0].tokenId)).toBe(true);
  });

  test("of the same prompt again, which is not read again, are the same", async () => {
    const first = await answer({ logprobs: 3 });
    const again = await answer({ logprobs: 3 });
    expect(again.usage.cachedTokens).toBe(first.promptTokenIds.length);
    expect(again.logprobs).toEqual(first.logprobs);
  });

  test("are there for the tokens of the answer only, and not told unasked", async () => {
    const stop = [plain.text.slice(12, 15)];
    const stopped = await answer({ stop, logprobs: 0 });
    expect(stopped.finishReason).toBe("stop");
    const ids = stopped.logprobs?.map(({ tokenId }) => tokenId);
    expect(ids).toEqual(stopped.tokenIds);
    expect(stopped.logprobs?.every(({ top }) => top.length === 0)).toBe(true);
    const without = await answer({});
    expect(without).not.toHaveProperty("logprobs");
    expect(engine.dispatchesPerToken).toBe(plainDispatches);
  });
});

describe("bias and penalties", () => {
  test("a bias of 100 is always chosen, one of -100 never", async () => {
    const { tokenIds } = await answer({ logitBias: { 300: 100 } });
    expect(tokenIds).toEqual(plain.tokenIds.map(() => 300));
    const banned = Object.fromEntries(plain.tokenIds.map((id) => [id, -100]));
    const others = await answer({ logitBias: banned, temperature: 1, seed: 1 });
    expect(others.tokenIds.filter((id) => plain.tokenIds.includes(id))).toEqual([]);
  });

  test("penalties make tokens of the answer rarer; those of the prompt may come", async () => {
    const most = (ids: readonly number[]): number =>
      Math.max(...ids.map((id) => ids.filter((other) => other === id).length));
    const loop = await answer({ logitBias: { 300: 4 } });
    const frequency = await answer({ logitBias: { 300: 4 }, frequencyPenalty: 2 });
    const presence = await answer({ logitBias: { 300: 4 }, presencePenalty: 2 });
    expect(most(frequency.tokenIds)).toBeLessThan(most(loop.tokenIds));
    expect(presence.tokenIds).not.toEqual(loop.tokenIds);
    expect(presence.tokenIds[0]).toBe(loop.tokenIds[0]);
    expect(engine.dispatchesPerToken).toBe(plainDispatches + 1);
    expect((await answer({})).tokenIds).toEqual(plain.tokenIds);
  });

  test("a token that the model doesn't have is refused", async () => {
    const refused = answer({ logitBias: { 512: 1 } });
    await expect(refused).rejects.toMatchObject({ option: "logitBias" });
    await expect(refused).rejects.toThrow("for token ids from 0 to 511, got 512");
  });
});
