import { expect, test } from "vitest";
import { createSentenceFeed } from "../../demo/sentences.ts";

/** What is heard of a source that comes in pieces of this length. */
function heard(source: string, length: number): string[] {
  const feed = createSentenceFeed();
  const all: string[] = [];
  for (let end = length; end < source.length; end += length) {
    all.push(...feed.take(source.slice(0, end), false));
  }
  all.push(...feed.take(source, true));
  return all;
}

test.each([
  ["One. Two! Three", ["One.", "Two!", "Three"]],
  ["It costs 3.50 at example.org today. Yes.", ["It costs 3.50 at example.org today.", "Yes."]],
  ["He said “no.” Then left.", ["He said “no.”", "Then left."]],
  [
    "## A **bold** head\n\n- an *item*\n- [a link](https://a.test)\n",
    ["A bold head", "an item", "a link"],
  ],
  ["1. First. Then\n2. Second", ["1. First.", "Then", "2. Second"]],
  ["See:\n```ts\nlet a = 1. + b;\n# no. no\n```\nDone.", ["See:", "A block of code: ts.", "Done."]],
  ["| a | b |\n|---|---|\n| 1 | 2 |", ["| a | b |", "| 1 | 2 |"]],
  ["一つ。二つ。", ["一つ。", "二つ。"]],
  ["a_b_c and 2 * 3 are left.", ["a_b_c and 2 * 3 are left."]],
  ["", []],
])("%j is heard by sentences, however it is cut", (source, expected) => {
  for (const length of [1, 2, 3, 7, 1000]) expect(heard(source, length)).toEqual(expected);
});

test("nothing is heard before its sentence is complete, and nothing twice", () => {
  const feed = createSentenceFeed();
  expect(feed.take("The terraces ri", false)).toEqual([]);
  expect(feed.take("The terraces rise.", false)).toEqual([]);
  expect(feed.take("The terraces rise. Then", false)).toEqual(["The terraces rise."]);
  expect(feed.take("The terraces rise. Then", false)).toEqual([]);
  expect(feed.take("The terraces rise. Then", true)).toEqual(["Then"]);
  expect(feed.take("The terraces rise. Then", true)).toEqual([]);
});
