import { describe, expect, test } from "vitest";
import { createTurn, type Turn } from "../../demo/conversation.ts";
import { readHistoryFile, writeHistoryFile } from "../../demo/history/history-file.ts";
import {
  fingerprint,
  fromStored,
  type StoredConversation,
  titleOf,
  toStored,
} from "../../demo/history/stored-conversation.ts";
import { randomId } from "../../demo/random-id.ts";

const answered: Turn = {
  ...createTurn(3, {
    text: "Why?",
    documents: [{ name: "a.txt", text: "long" }],
    needle: { fact: "the clock is green", answer: "green" },
  }),
  answer: "**Because**, `x`.",
  answerTokenIds: [5, 7],
  answeredBy: "tiny.gguf",
  state: "done",
  figures: { readTokens: 12, totalTokens: 12, firstTokenMs: 9.5, wroteTokens: 2 },
  cutAtLimit: true,
  cache: {
    report: { policy: "pyramidkv", kvDtype: "f16", tokens: 14, evicted: false },
    kv: { allocated: 100, full: 200, peak: 150 },
    cachedTokens: 4,
    reopening: { tokens: 4, bytes: 90, ms: 1.5 },
  },
};

const kept: StoredConversation = {
  id: "abc",
  title: "Why?",
  createdAt: 1,
  changedAt: 2,
  revision: 3,
  questions: 1,
  turns: [toStored(answered)],
};

const fileOf = (value: unknown): Blob => new Blob([JSON.stringify(value)]);

/** The file of one conversation, with something changed at a path. */
function changed(path: readonly (string | number)[], value: unknown): Blob {
  const root = JSON.parse(writeHistoryFile([kept])) as Record<string | number, unknown>;
  let at = root;
  for (const name of path.slice(0, -1)) at = at[name] as Record<string | number, unknown>;
  at[path.at(-1)!] = value;
  return fileOf(root);
}

test("a turn comes back as it was, but for what belongs to the running page", () => {
  const back = fromStored(() => 8, toStored({ ...answered, attempt: 4 }));
  expect(back).toEqual({ ...answered, id: 8, attempt: 0 });
});

test.each(["waiting", "reading", "writing"] as const)("an answer that is %s is kept", (state) => {
  expect(toStored({ ...answered, state })).toMatchObject({
    state: "stopped",
    answer: answered.answer,
  });
});

test("only the figures of the cache are kept, not those of every layer", () => {
  const report = { ...answered.cache?.report, layers: [1, 2, 3] };
  const turn = { ...answered, cache: { ...answered.cache, report } } as unknown as Turn;
  expect(JSON.stringify(toStored(turn))).not.toContain("layers");
});

test.each([
  [{ text: " two\n words ", documents: [] }, "two words"],
  [{ text: "", documents: [{ name: "report.md", text: "x" }] }, "report.md"],
  [{ text: "x".repeat(200), documents: [] }, `${"x".repeat(79)}…`],
  [{ text: "", documents: [] }, "Without a question"],
])("the title of %j", (question, title) => {
  expect(titleOf([question])).toBe(title);
});

test("a fingerprint changes with each piece, state and attempt", () => {
  const all = [answered, { ...answered, answer: "B" }, { ...answered, attempt: 1 }].map((turn) =>
    fingerprint([turn]),
  );
  expect(new Set([...all, fingerprint([{ ...answered, state: "writing" }])]).size).toBe(4);
});

test("ids don't repeat", () => {
  const ids = Array.from({ length: 100 }, randomId);
  expect(new Set(ids).size).toBe(100);
  for (const id of ids) expect(id).toMatch(/^[0-9a-f]{24}$/);
});

describe("a file of conversations", () => {
  test("comes back as it was", async () => {
    const reopening = { why: "what was saved is damaged" };
    const readAgain = { ...answered, cache: { ...answered.cache!, reopening } };
    const bare = {
      ...kept,
      id: "b",
      turns: [toStored(createTurn(1, { text: "", documents: [] })), toStored(readAgain)],
      questions: 2,
    };
    const all = [kept, bare];
    expect(await readHistoryFile(new Blob([writeHistoryFile(all)]))).toEqual(all);
    expect(await readHistoryFile(new Blob([writeHistoryFile([])]))).toEqual([]);
  });

  test.each([
    ["not-json", new Blob(["{"]), "only a part of it"],
    [
      "not-json",
      new Blob([writeHistoryFile([kept]).slice(0, -20)]),
      "Export the conversations again",
    ],
    ["not-history", fileOf([]), "holds no conversations"],
    ["not-history", fileOf({ format: "other" }), "holds no conversations"],
    ["not-history", fileOf(null), "holds no conversations"],
    [
      "wrong-version",
      changed(["version"], 2),
      "version 2 of the format, and this page reads version 1",
    ],
    ["wrong-version", changed(["version"], "1"), 'version "1"'],
    ["damaged", changed(["conversations"], {}), "conversations should be a list, but is {}"],
    ["damaged", changed(["conversations", 0], 7), "conversations[0] should be an object, but is 7"],
    [
      "damaged",
      changed(["conversations", 0, "title"], undefined),
      "title should be a text, but is missing",
    ],
    [
      "damaged",
      changed(["conversations", 0, "changedAt"], -1),
      "changedAt should be a number, but is -1",
    ],
    [
      "damaged",
      changed(["conversations", 0, "changedAt"], 9e15),
      "changedAt should be a time in milliseconds since 1970, but is 9000000000000000",
    ],
    [
      "damaged",
      changed(["conversations", 0, "createdAt"], 9e15),
      "createdAt should be a time in milliseconds since 1970",
    ],
    [
      "damaged",
      changed(["conversations", 0, "turns", 0, "answer"], ["x"]),
      'conversations[0].turns[0].answer should be a text, but is ["x"]',
    ],
    [
      "damaged",
      changed(["conversations", 0, "turns", 0, "state"], "writing"),
      "done or stopped or failed",
    ],
    ["damaged", changed(["conversations", 0, "turns", 0, "cutAtLimit"], 1), "true or false"],
    [
      "damaged",
      changed(["conversations", 0, "turns", 0, "cache", "kv"], null),
      "kv should be an object",
    ],
    [
      "damaged",
      changed(["conversations", 0, "turns", 0, "cache", "reopening", "ms"], "x"),
      "reopening.ms should be a number",
    ],
    ["too-large", new Blob([new Uint8Array(2 ** 26 + 1)]), "up to 64.0\u00a0MiB can be imported"],
  ])("that is %s is refused with what is wrong", async (fault, file, message) => {
    await expect(readHistoryFile(file)).rejects.toMatchObject({
      name: "HistoryFileError",
      fault,
      message: expect.stringContaining(message) as string,
    });
  });
});
