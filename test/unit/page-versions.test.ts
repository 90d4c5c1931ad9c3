import { expect, test } from "vitest";
import { createTurn, type Turn } from "../../demo/conversation.ts";
import { readHistoryFile, writeHistoryFile } from "../../demo/history/history-file.ts";
import { fromStored, type StoredTurn, toStored } from "../../demo/history/stored-conversation.ts";
import { addVersion, dropLast, showVersion, versionOf } from "../../demo/versions.ts";

let nextId = 1;

const say = (text: string): Turn => ({
  ...createTurn(nextId++, { text, documents: [] }),
  answer: `To ${text}`,
  state: "done",
});

/** `a b 2/3` */
const shown = (turns: readonly Turn[]): string =>
  turns
    .map((turn) => {
      const { number, count } = versionOf(turn);
      return count === 1 ? turn.text : `${turn.text} ${number}/${count}`;
    })
    .join(", ");

const step = (turns: readonly Turn[], at: number, way: -1 | 1): Turn[] =>
  showVersion(turns, turns[at] as Turn, way);

/** a, b, c; then b in other words, with d after it; then a in other words. */
function nested(): Turn[] {
  let turns = [say("a"), say("b"), say("c")];
  turns = [...addVersion(turns, 1, say("b2")), say("d")];
  return addVersion(turns, 0, say("a2"));
}

test("a version takes the place of a turn and of what came after it, and each leads to the others", () => {
  let turns = nested();
  expect(shown(turns)).toBe("a2 2/2");
  turns = step(turns, 0, -1);
  expect(shown(turns)).toBe("a 1/2, b2 2/2, d");
  turns = step(turns, 1, -1);
  expect(shown(turns)).toBe("a 1/2, b 1/2, c");
  turns = [...turns, say("e")];
  turns = step(turns, 0, 1);
  expect(shown(turns)).toBe("a2 2/2");
  expect(shown(step(turns, 0, 1))).toBe("a2 2/2");
  // What was shown and said there meanwhile is there.
  turns = step(turns, 0, -1);
  expect(shown(turns)).toBe("a 1/2, b 1/2, c, e");
  expect(shown(step(turns, 1, 1))).toBe("a 1/2, b2 2/2, d");
});

test("a version made from an earlier one is the latest", () => {
  let turns = step(addVersion([say("a")], 0, say("b")), 0, -1);
  turns = addVersion(turns, 0, say("c"));
  expect(shown(turns)).toBe("c 3/3");
  turns = step(turns, 0, -1);
  expect(shown(turns)).toBe("b 2/3");
  expect(shown(step(turns, 0, -1))).toBe("a 1/3");
});

test("the turns before a change are as they were: it can be undone", () => {
  const before = addVersion([say("a")], 0, say("b"));
  addVersion(before, 0, say("c"));
  expect(shown(before)).toBe("b 2/2");
});

test("where the last turn is taken back, another version of it stays", () => {
  expect(shown(dropLast(addVersion([say("a"), say("b")], 1, say("c"))))).toBe("a, b");
  const earlier = step(addVersion([say("a"), say("b")], 0, say("c")), 0, -1);
  expect(shown(dropLast(earlier.slice(0, 1)))).toBe("c");
  expect(dropLast([say("a")])).toEqual([]);
  expect(dropLast([])).toEqual([]);
});

const fileOf = (turns: readonly StoredTurn[]): Blob => {
  const head = { id: "x", title: "x", createdAt: 1, changedAt: 1, revision: 1 };
  return new Blob([writeHistoryFile([{ ...head, questions: turns.length, turns }])]);
};

test("versions are kept, exported and imported, each once", async () => {
  const stored = step(nested(), 0, -1).map(toStored);
  const texts = JSON.stringify(stored).match(/"text":"\w+"/g);
  expect(texts?.sort()).toEqual(["a", "a2", "b", "b2", "c", "d"].map((text) => `"text":"${text}"`));
  const [conversation] = await readHistoryFile(fileOf(stored));
  expect(conversation?.turns).toEqual(stored);
  const back = conversation!.turns.map((turn) => fromStored(() => nextId++, turn));
  expect(shown(back)).toBe("a 1/2, b2 2/2, d");
  expect(shown(step(back, 1, -1))).toBe("a 1/2, b 1/2, c");
  expect(back.map(toStored)).toEqual(stored);
});

test("damaged versions in a file are named; empty ones are none; how deep they lie is bounded", async () => {
  const bare = toStored(say("a"));
  const odd = (others: unknown): Blob => fileOf([{ ...bare, others } as StoredTurn]);
  await expect(readHistoryFile(odd({ earlier: [[7]], later: [] }))).rejects.toThrow(
    "turns[0].others.earlier[0][0] should be an object, but is 7",
  );
  const [read] = await readHistoryFile(odd({ earlier: [[]], later: [] }));
  expect(shown(read!.turns.map((turn) => fromStored(() => 1, turn)))).toBe("a");
  let deep = bare;
  for (let i = 0; i < 201; i++) deep = { ...bare, others: { earlier: [[deep]], later: [] } };
  await expect(readHistoryFile(fileOf([deep]))).rejects.toMatchObject({ fault: "damaged" });
});
