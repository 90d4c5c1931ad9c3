import { describe, expect, it } from "vitest";
import { createTurn, toMessages, type Turn } from "../../demo/conversation.ts";

const turn = (question: string, answer: string, state: Turn["state"]): Turn => ({
  ...createTurn(1, { text: question, documents: [] }),
  answer,
  state,
});

describe("toMessages", () => {
  it("sends every question and answer, ending in the last question", () => {
    const turns = [turn("one", "first", "done"), turn("two", "", "reading")];
    expect(toMessages(turns)).toEqual([
      { role: "user", content: "one" },
      { role: "assistant", content: "first" },
      { role: "user", content: "two" },
    ]);
  });

  it("sends what a stopped answer had come to", () => {
    const turns = [turn("one", "fir", "stopped"), turn("two", "", "waiting")];
    expect(toMessages(turns)[1]).toEqual({ role: "assistant", content: "fir" });
  });

  it("leaves the last answer out: it is to be made again", () => {
    const turns = [turn("one", "first", "done"), turn("two", "old try", "stopped")];
    expect(toMessages(turns).at(-1)).toEqual({ role: "user", content: "two" });
  });

  it("joins questions that got no answer, so that roles alternate", () => {
    const turns = [
      turn("one", "", "stopped"),
      turn("two", "", "failed"),
      turn("three", "", "waiting"),
    ];
    expect(toMessages(turns)).toEqual([{ role: "user", content: "one\n\ntwo\n\nthree" }]);
  });
});
