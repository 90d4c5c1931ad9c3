import { IDBFactory, IDBObjectStore } from "fake-indexeddb";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { ChatState } from "../../demo/chat-state.ts";
import type { Chat } from "../../demo/chat.ts";
import { createTurn, type Turn } from "../../demo/conversation.ts";
import { createHistory, type History } from "../../demo/history/history.ts";
import { fromStored, type StoredTurn } from "../../demo/history/stored-conversation.ts";

/** A tab: what the page does with a chat and its history. */
interface Tab {
  readonly history: History;
  readonly state: Pick<ChatState, "conversationId" | "turns">;
  /** Ask and answer. */
  say(question: string): Promise<void>;
  /** Begin anew. */
  begin(): Promise<void>;
}

/** Numbers of conversations and turns, different in all tabs. */
let next = 1;

async function openTab(): Promise<Tab> {
  const state = { conversationId: next++, turns: [] as Turn[] };
  const changed = (): Promise<void> => {
    history.noteChange();
    return history.save();
  };
  const chat = {
    state,
    openConversation(turns: readonly StoredTurn[]) {
      state.conversationId = next++;
      state.turns = turns.map((turn) => fromStored(() => next++, turn));
      history.noteChange();
    },
  } as unknown as Chat;
  const history = createHistory(chat, () => {});
  await history.start();
  return {
    history,
    state,
    say(text) {
      const turn = { ...createTurn(next++, { text, documents: [] }), answer: `To ${text}` };
      state.turns = [...state.turns, { ...turn, state: "done" }];
      return changed();
    },
    begin() {
      state.conversationId = next++;
      state.turns = [];
      return changed();
    },
  };
}

const titles = ({ history }: Tab): string[] => history.heads.map(({ title }) => title).sort();
const questions = ({ state }: Tab): string[] => state.turns.map(({ text }) => text);
const idOf = ({ history }: Tab, title: string): string =>
  history.heads.find((head) => head.title === title)?.id ?? "none";

beforeEach(() => {
  vi.stubGlobal("indexedDB", new IDBFactory());
  vi.stubGlobal("sessionStorage", memoryStorage());
});

afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
});

function memoryStorage(): Pick<Storage, "getItem" | "setItem" | "removeItem"> {
  const items = new Map<string, string>();
  return {
    getItem: (key) => items.get(key) ?? null,
    setItem: (key, value) => void items.set(key, value),
    removeItem: (key) => void items.delete(key),
  };
}

test("a conversation is kept once, however often it is saved and opened", async () => {
  const tab = await openTab();
  await tab.say("one");
  await tab.say("two");
  const first = tab.history.openId;
  await tab.begin();
  await tab.say("other");
  expect(titles(tab)).toEqual(["one", "other"]);
  await tab.history.open(first!);
  expect(questions(tab)).toEqual(["one", "two"]);
  await tab.say("three");
  await tab.history.open(idOf(tab, "other"));
  await tab.history.open(first!);
  expect(questions(tab)).toEqual(["one", "two", "three"]);
  expect(titles(tab)).toEqual(["one", "other"]);
  expect(tab.history.elsewhere).toBeUndefined();
});

test("after a reload the tab has its conversation again", async () => {
  const before = await openTab();
  await before.say("one");
  const after = await openTab();
  expect(questions(after)).toEqual(["one"]);
  await after.say("two");
  expect(titles(after)).toEqual(["one"]);
  await after.begin();
  expect(questions(await openTab())).toEqual([]);
});

test("two tabs keep both, and say so", async () => {
  const [a, b] = [await openTab(), await openTab()];
  await a.say("shared");
  await vi.waitFor(() => expect(titles(b)).toEqual(["shared"]));
  await b.history.open(idOf(b, "shared"));
  await a.say("from a");
  await vi.waitFor(() => expect(b.history.elsewhere?.canShow).toBe(true));
  await b.say("from b");
  expect(b.history.elsewhere).toMatchObject({ canShow: false });
  expect(titles(b)).toEqual(["shared", "shared (copy)"]);
  await b.say("more from b");
  expect(titles(b)).toEqual(["shared", "shared (copy)"]);

  const c = await openTab();
  await c.history.open(idOf(c, "shared"));
  expect(questions(c)).toEqual(["shared", "from a"]);
  await c.history.open(idOf(c, "shared (copy)"));
  expect(questions(c)).toEqual(["shared", "from b", "more from b"]);
});

test("a title that is changed in one tab makes no copy in the other", async () => {
  const [a, b] = [await openTab(), await openTab()];
  await a.say("one");
  await vi.waitFor(() => expect(titles(b)).toEqual(["one"]));
  await b.history.rename(idOf(b, "one"), "uno");
  await vi.waitFor(() => expect(titles(a)).toEqual(["uno"]));
  await a.say("two");
  expect(titles(a)).toEqual(["uno"]);
  expect(a.history.elsewhere).toBeUndefined();
});

test("what is deleted goes, the open one too, and comes back whole", async () => {
  const tab = await openTab();
  await tab.say("one");
  await tab.begin();
  await tab.say("two");
  const undo = await tab.history.remove(tab.history.heads.map(({ id }) => id));
  expect(titles(tab)).toEqual([]);
  expect(questions(tab)).toEqual([]);
  await undo();
  expect(titles(tab)).toEqual(["one", "two"]);
  await tab.history.open(idOf(tab, "one"));
  expect(questions(tab)).toEqual(["one"]);
});

test("a file brings conversations back once; one that was changed since comes beside", async () => {
  const tab = await openTab();
  await tab.say("one");
  const file = new Blob([await tab.history.exportAll()]);
  expect(await tab.history.importFile(file)).toEqual({ added: 0, known: 1 });
  await tab.say("two");
  expect(await tab.history.importFile(file)).toEqual({ added: 1, known: 0 });
  expect(titles(tab)).toEqual(["one", "one"]);
  await tab.history.remove(tab.history.heads.map(({ id }) => id));
  expect(await tab.history.importFile(file)).toEqual({ added: 1, known: 0 });
});

test("refused storage: all is in memory, and said", async () => {
  vi.stubGlobal("indexedDB", {
    open: () => {
      throw new DOMException("refused", "SecurityError");
    },
  });
  const tab = await openTab();
  expect(tab.history.problem).toContain("refuses storage");
  await tab.say("one");
  await tab.begin();
  await tab.say("two");
  await tab.history.open(idOf(tab, "one"));
  expect(questions(tab)).toEqual(["one"]);
  expect(titles(tab)).toEqual(["one", "two"]);
  expect(await tab.history.exportAll()).toContain("To two");
});

test("full storage: what has no room waits in memory, and is kept when there is", async () => {
  const tab = await openTab();
  const put = vi.spyOn(IDBObjectStore.prototype, "put").mockImplementation(() => {
    throw new DOMException("full", "QuotaExceededError");
  });
  await tab.say("one");
  expect(tab.history.problem).toContain("storage is full");
  await tab.say("two");
  await tab.begin();
  await tab.say("other");
  expect(titles(tab)).toEqual(["one", "other"]);
  put.mockRestore();
  await tab.say("more");
  expect(tab.history.problem).toBeUndefined();

  const later = await openTab();
  expect(titles(later)).toEqual(["one", "other"]);
  await later.history.open(idOf(later, "one"));
  expect(questions(later)).toEqual(["one", "two"]);
});

test("storage of an earlier version keeps what is in it; while its page is open, that is said", async () => {
  const opening = indexedDB.open("ziggurat-history", 1);
  opening.addEventListener("upgradeneeded", () => {
    for (const name of ["heads", "bodies"]) {
      opening.result.createObjectStore(name, { keyPath: "id" }).put({ id: "a", title: "old" });
    }
  });
  await new Promise((resolve) => opening.addEventListener("success", resolve));
  expect((await openTab()).history.problem).toContain("another version of this page");
  opening.result.close();
  const tab = await openTab();
  expect(titles(tab)).toEqual(["old"]);
  expect(tab.history.problem).toBeUndefined();
});
