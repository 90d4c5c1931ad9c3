import { expect, test } from "vitest";
import { findSpan, keptTokens, shareKept } from "../../demo/kept-tokens.ts";

const TEXTS = ["<|s|>", "The", " spare", " key", "", " é", "."];
/** Two layers of two heads. */
const POSITIONS = [
  [
    [0, 2, 3],
    [0, 6],
  ],
  [[0, 3], [3]],
];
const ALL = { layer: undefined, head: undefined };

test("each token counts the (layer, head) pairs that keep it", () => {
  const { tokens, of } = keptTokens(TEXTS, POSITIONS, ALL);
  expect(tokens.map(({ kept }) => kept)).toEqual([3, 0, 1, 3, 0, 0, 1]);
  expect(of).toBe(4);
  const total = POSITIONS.flat(2).length;
  expect(tokens.reduce((sum, { kept }) => sum + kept, 0)).toBe(total);
});

test("a layer or a head can be picked", () => {
  const layer = keptTokens(TEXTS, POSITIONS, { layer: 1, head: undefined });
  expect([layer.tokens.map(({ kept }) => kept), layer.of]).toEqual([[1, 0, 0, 2, 0, 0, 0], 2]);
  const one = keptTokens(TEXTS, POSITIONS, { layer: 0, head: 1 });
  expect([one.tokens.map(({ kept }) => kept), one.of]).toEqual([[1, 0, 0, 0, 0, 0, 1], 1]);
});

test("rows of tokens beyond the text (the answer's) are left out", () => {
  expect(keptTokens(["a"], [[[0, 1, 2]]], ALL).tokens).toEqual([{ text: "a", kept: 1 }]);
});

test("a fact is found over the borders of tokens, and its share is the mean over them", () => {
  expect(findSpan(TEXTS, "spare key")).toEqual([2, 4]);
  expect(findSpan(TEXTS, "key é")).toEqual([3, 6]);
  expect(findSpan(TEXTS, "lost")).toBeUndefined();
  expect(findSpan(TEXTS, "")).toBeUndefined();
  expect(shareKept(keptTokens(TEXTS, POSITIONS, ALL, "spare key"))).toBe((1 + 3) / (2 * 4));
  expect(shareKept(keptTokens(TEXTS, POSITIONS, ALL))).toBeUndefined();
});
