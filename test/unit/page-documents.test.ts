import { expect, test } from "vitest";
import { createTurn, questionContent, toMessages } from "../../demo/conversation.ts";
import { fitDocument } from "../../demo/fit-document.ts";
import { costText } from "../../demo/reading-cost.ts";
import { SAMPLES } from "../../demo/samples.ts";
import { DEFAULT_SETTINGS } from "../../demo/settings.ts";
import type { ChatMessage, Engine } from "../../src/index.ts";

/** A token for each character, and ten for the template. */
const engine = {
  config: { contextLength: 1000 } as Engine["config"],
  async previewPrompt(prompt: unknown) {
    const length = (prompt as ChatMessage[]).reduce((sum, { content }) => sum + content.length, 10);
    return { tokenIds: Array<number>(length).fill(1), texts: [], cachedTokens: 0 };
  },
};

test("documents come before the words of a question", () => {
  const documents = [
    { name: "a", text: "first" },
    { name: "b", text: "second" },
  ];
  expect(questionContent({ text: "why?", documents })).toBe("first\n\nsecond\n\nwhy?");
  expect(questionContent({ text: "", documents })).toBe("first\n\nsecond");
  const messages = toMessages([createTurn(1, { text: "why?", documents })], "Be brief.");
  expect(messages[0]).toEqual({ role: "system", content: "Be brief." });
  expect(messages).toHaveLength(2);
});

test.each([900, 2000, 100_000])("a document of %i tokens is cut to what fits", async (length) => {
  const documents = [
    { name: "long", text: "x".repeat(length) },
    { name: "short", text: "y".repeat(50) },
  ];
  const turns = [createTurn(1, { text: "why?", documents })];
  const cut = await fitDocument(engine, { turns, settings: DEFAULT_SETTINGS }, 100);
  if (cut === undefined) throw new Error("nothing is left");
  const messages = toMessages([createTurn(1, { text: "why?", documents: cut })]);
  const { tokenIds } = await engine.previewPrompt(messages);
  expect(tokenIds.length).toBeLessThanOrEqual(900);
  expect(tokenIds.length).toBeGreaterThan(800);
  expect(cut[1]).toEqual(documents[1]);
});

test("of several long documents each keeps a part", async () => {
  const documents = ["a", "b", "c"].map((name) => ({ name, text: name.repeat(5000) }));
  const turns = [createTurn(1, { text: "why?", documents })];
  const cut = await fitDocument(engine, { turns, settings: DEFAULT_SETTINGS }, 100);
  for (const { text } of cut ?? []) expect(text.length).toBeGreaterThan(150);
  expect(cut).toHaveLength(3);
});

test("a document that the conversation leaves no room for isn't cut to nothing", async () => {
  const before = { ...createTurn(1, { text: "x".repeat(890), documents: [] }), answer: "y" };
  const documents = [{ name: "long", text: "z".repeat(5000) }];
  const turns = [before, createTurn(2, { text: "why?", documents })];
  expect(await fitDocument(engine, { turns, settings: DEFAULT_SETTINGS }, 100)).toBeUndefined();
});

test("costs are said in tokens and time", () => {
  expect(costText({ tokens: 3412, ms: 9000 })).toBe(
    "reads 3,412\u00a0tokens again, about 9.0\u00a0s",
  );
  expect(costText({ tokens: 1, ms: undefined })).toBe("reads 1\u00a0token again");
  expect(costText({ tokens: 0, ms: 0 })).toBe("reads nothing again");
});

test("a sample's needle lies in its document, once, and in no other words", () => {
  const hidden = SAMPLES.filter(({ question }) => question.needle !== undefined);
  expect(hidden.length).toBeGreaterThan(0);
  for (const { question } of hidden) {
    const { fact, answer } = question.needle ?? { fact: "", answer: "" };
    const text = questionContent(question);
    expect(text.split(fact)).toHaveLength(2);
    expect(text.split(answer)).toHaveLength(2);
    expect(fact).toContain(answer);
  }
});
