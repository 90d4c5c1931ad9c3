import { IDBFactory, IDBObjectStore } from "fake-indexeddb";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { createAnswerer } from "../../demo/answerer.ts";
import { type ChatState, createChatState } from "../../demo/chat-state.ts";
import type { Chat } from "../../demo/chat.ts";
import { createTurn, type Turn } from "../../demo/conversation.ts";
import { createHistory, type History } from "../../demo/history/history.ts";
import { createSessionKeeper, type SessionKeeper } from "../../demo/history/session-keeper.ts";
import { makeRoomFor, type SessionInfo } from "../../demo/history/session-store.ts";
import { fromStored, type StoredTurn } from "../../demo/history/stored-conversation.ts";
import { isWorthSaving } from "../../demo/history/worth-saving.ts";
import type { ModelSlot } from "../../demo/model-slot.ts";
import { describeRefusal, reopeningText } from "../../demo/reopening.ts";
import { DEFAULT_SETTINGS } from "../../demo/settings.ts";
import {
  type Engine,
  GpuOutOfMemoryError,
  InvalidOptionError,
  type SaveOptions,
  SessionFormatError,
} from "../../src/index.ts";
import { FakeEngine } from "./fake-engine.ts";

describe("a cache is worth its bytes", () => {
  const cache = { tokens: 3000, bytes: 2 ** 20 };

  test.each([
    ["where reading takes long", { readTokens: 3000, readTokensPerSecond: 200 }, true],
    ["not where it is quick", { readTokens: 3000, readTokensPerSecond: 5000 }, false],
    ["also by its size, where only a few tokens were read", { readTokens: 12 }, true],
  ])("%s", (_, reading, worth) => {
    expect(isWorthSaving(cache, [reading])).toBe(worth);
  });

  test("by the longest reading; never where it is larger than all may be together", () => {
    const long = { readTokens: 3000, readTokensPerSecond: 5000 };
    const short = { readTokens: 90, readTokensPerSecond: 50 };
    expect(isWorthSaving(cache, [short, long, { readTokens: 5, readTokensPerSecond: 1 }])).toBe(
      false,
    );
    expect(isWorthSaving({ ...cache, bytes: 2 ** 29 }, [short])).toBe(false);
    expect(isWorthSaving({ tokens: 100, bytes: 1 }, [{}])).toBe(false);
  });
});

test("the oldest caches make room for a new one, its own earlier one apart", () => {
  const info = (id: string, savedAt: number, bytes: number): SessionInfo => ({
    ...{ id, savedAt, bytes },
    questions: 1,
  });
  const there = [info("a", 3, 40), info("b", 1, 30), info("c", 2, 20)];
  const gone = (id: string, bytes: number): string[] =>
    makeRoomFor({ id, bytes }, there, 100).map((one) => one.id);
  expect(gone("d", 10)).toEqual([]);
  expect(gone("d", 30)).toEqual(["b"]);
  expect(gone("d", 60)).toEqual(["b", "c"]);
  expect(gone("a", 50)).toEqual([]);
});

test.each([
  ["model.weights", "what was saved is of another model", false],
  ["cache.budget", "what was saved has another budget", false],
  ["cache.numSinks", "what was saved has another kind of cache", false],
  ["its version", "what was saved is of another version of this page", true],
  ["the SHA-256 of part 3", "what was saved is damaged", true],
])("a session refused for %s is told in a line", (field, why, isUseless) => {
  expect(describeRefusal(new SessionFormatError(field, "1", "2"))).toEqual({ why, isUseless });
});

test("what became of a saved cache in words", () => {
  const ms = 384;
  const text = reopeningText({ tokens: 3012, bytes: 9.8 * 2 ** 20, ms }).replaceAll("\u00a0", " ");
  expect(text).toBe("reopened from what was saved: 3,012 tokens, 9.8 MiB, 0.38 s");
  expect(reopeningText({ why: "what was saved is damaged" })).toMatch(/^read again: what/);
});

test("an answer says once what became of the saved cache; one that is stopped leaves that to the next", async () => {
  const state = createChatState({ name: "m", source: new File([], "m") }, DEFAULT_SETTINGS);
  const engine = new FakeEngine();
  state.model = { step: "ready", choice: state.offer.choice, engine };
  const reopening = { why: "what was saved is damaged" };
  let work = Promise.resolve();
  const slot = { use: (job: (on: Engine) => Promise<void>) => (work = job(engine)) };
  const answerer = createAnswerer({
    ...{ state, limits: { maxTokens: 2 } },
    slot: slot as unknown as ModelSlot,
    update: (patch) => void Object.assign(state, patch),
    beforeAnswer: async () => void (state.reopening ??= reopening),
  });
  const answer = async (id: number): Promise<Turn> => {
    state.turns = [...state.turns, createTurn(id, { text: "Why?", documents: [] })];
    answerer.answer(false);
    if (id === 1) answerer.stop();
    await work;
    return state.turns.at(-1)!;
  };
  expect(await answer(1)).toMatchObject({ state: "stopped", cache: undefined });
  expect(state).toMatchObject({ held: undefined, reopening });
  expect((await answer(2)).cache?.reopening).toEqual(reopening);
  expect(state.held).toEqual({ conversationId: 1, turnId: 2 });
  expect(state.reopening).toBeUndefined();
});

/** Tells apart what engines of different tests have saved. */
let saves = 0;

/** An engine as far as saving goes: its cache is the text of what was read. */
class CacheEngine {
  readonly config = { numLayers: 2 };
  cache = "";
  calls: string[] = [];
  failure: unknown;
  memory(): unknown {
    return { kv: { tokens: this.cache.length, allocated: this.cache.length } };
  }
  /** Saving takes as long as this does. */
  time: Promise<void> = Promise.resolve();
  async save({ signal }: SaveOptions): Promise<Blob> {
    this.calls.push(`save ${this.cache}`);
    this.#fail();
    await this.time;
    signal?.throwIfAborted();
    return new Blob([this.cache, ` ${++saves}`]);
  }
  async restore(saved: Blob): Promise<unknown> {
    const [text] = (await saved.text()).split(" ");
    this.calls.push(`restore ${text}`);
    this.#fail();
    this.cache = text ?? "";
    return { tokens: this.cache.length, note: "" };
  }
  #fail(): void {
    const { failure } = this;
    this.failure = undefined;
    if (failure !== undefined) throw failure;
  }
}

/** A tab with a history, and an engine where one is loaded. */
interface Tab {
  readonly state: ChatState;
  readonly history: History;
  readonly keeper: SessionKeeper;
  engine: CacheEngine;
  load(): Promise<void>;
  /** Ask and answer, or stop the answer. */
  say(text: string, how?: "done" | "stopped"): Promise<void>;
  begin(): Promise<void>;
  open(id: string): Promise<void>;
  /** Let the pause pass that comes before saving. */
  rest(): Promise<void>;
}

let next = 1;

async function openTab(): Promise<Tab> {
  const state = createChatState({ name: "m", source: new File([], "m") }, DEFAULT_SETTINGS);
  state.conversationId = next++;
  let work = Promise.resolve();
  const tab = { engine: new CacheEngine() } as Tab;
  const changed = (): void => {
    tab.history.noteChange();
    tab.keeper.noteChange();
  };
  const chat = {
    state,
    beforeAnswer: async () => {},
    useEngine(job: (engine: Engine) => Promise<void>) {
      work = work.then(() => job(tab.engine as unknown as Engine));
    },
    openConversation(turns: readonly StoredTurn[]) {
      state.conversationId = next++;
      state.turns = turns.map((turn) => fromStored(() => next++, turn));
      state.reopening = undefined;
      changed();
    },
  } as unknown as Chat;
  const history = createHistory(chat, () => tab.keeper.noteChange());
  const settle = async (): Promise<void> => {
    // Jobs of the engine and of the storage lead to each other.
    for (let i = 0; i < 5; i++) {
      await work;
      await history.save();
      for (let turn = 0; turn < 10; turn++) await new Promise((resolve) => setImmediate(resolve));
    }
  };
  Object.assign(tab, {
    ...{ state, history },
    keeper: createSessionKeeper(chat, history, () => {}),
    async load() {
      tab.engine = new CacheEngine();
      state.held = undefined;
      state.model = { step: "ready", choice: state.offer.choice, engine: tab.engine as never };
      changed();
      await settle();
    },
    async say(text: string, how: "done" | "stopped" = "done") {
      const turn: Turn = { ...createTurn(next++, { text, documents: [] }), state: "reading" };
      state.turns = [...state.turns, turn];
      changed();
      await work;
      await chat.beforeAnswer(tab.engine as unknown as Engine);
      turn.state = how;
      turn.answer = `To ${text}`;
      turn.figures = { readTokens: 100, readTokensPerSecond: 0.1 };
      if (how === "done") {
        tab.engine.cache += text;
        state.held = { conversationId: state.conversationId, turnId: turn.id };
      }
      changed();
      await settle();
    },
    async begin() {
      state.conversationId = next++;
      state.turns = [];
      state.reopening = undefined;
      changed();
      await settle();
    },
    async open(id: string) {
      await history.open(id);
      await settle();
    },
    async rest() {
      await vi.advanceTimersByTimeAsync(3000);
      await settle();
    },
  } satisfies Partial<Tab>);
  await history.start();
  return tab;
}

const kept = ({ history }: Tab): number[] =>
  [...history.sessions.infos.values()].map(({ questions }) => questions);
const idOf = ({ history }: Tab, title: string): string =>
  history.heads.find((head) => head.title === title)?.id ?? "none";

describe("the caches of conversations", () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    vi.stubGlobal("indexedDB", new IDBFactory());
    const items = new Map<string, string>();
    vi.stubGlobal("sessionStorage", {
      getItem: (key: string) => items.get(key) ?? null,
      setItem: (key: string, value: string) => void items.set(key, value),
      removeItem: (key: string) => void items.delete(key),
    });
  });

  afterEach(() => {
    vi.restoreAllMocks();
    vi.unstubAllGlobals();
    vi.useRealTimers();
  });

  test("are saved once, after a pause, and opened after a reload before the next answer", async () => {
    const tab = await openTab();
    await tab.load();
    await tab.say("a");
    expect(tab.engine.calls).toEqual([]);
    await tab.say("b");
    await tab.rest();
    await tab.rest();
    expect(tab.engine.calls).toEqual(["save ab"]);
    expect(kept(tab)).toEqual([2]);

    const later = await openTab();
    expect(later.state.turns.map(({ text }) => text)).toEqual(["a", "b"]);
    await later.load();
    expect(later.engine.calls).toEqual(["restore ab"]);
    expect(later.state.reopening).toMatchObject({ tokens: 2, bytes: 4 });
    expect(later.state.held?.turnId).toBe(later.state.turns[1]?.id);
    await later.say("c");
    await later.rest();
    expect(later.engine.calls).toEqual(["restore ab", "save abc"]);
  });

  test("change with the conversation that is shown; one that waits is saved first", async () => {
    const tab = await openTab();
    await tab.load();
    await tab.say("a");
    await tab.begin();
    expect(tab.engine.calls).toEqual(["save a"]);
    tab.engine.cache = ""; // another prompt takes its place
    await tab.say("x");
    await tab.open(idOf(tab, "a"));
    expect(tab.engine.calls).toEqual(["save a", "save x", "restore a"]);
    await tab.open(idOf(tab, "x"));
    expect(tab.engine.calls.at(-1)).toBe("restore x");
  });

  test("stay where an answer is stopped, and are saved though the next one was", async () => {
    const tab = await openTab();
    await tab.load();
    await tab.say("a");
    await tab.say("b", "stopped");
    await tab.rest();
    expect(tab.engine.calls).toEqual(["save a"]);
    expect(kept(tab)).toEqual([1]);
  });

  test("don't keep a question waiting that comes while they are saved", async () => {
    const tab = await openTab();
    await tab.load();
    await tab.say("a");
    let end = (): void => {};
    tab.engine.time = new Promise((resolve) => (end = resolve));
    await vi.advanceTimersByTimeAsync(3000);
    expect(tab.engine.calls).toEqual(["save a"]);
    const asked = tab.say("b", "stopped");
    end();
    await asked;
    expect(kept(tab)).toEqual([]);
    await tab.rest();
    expect(tab.engine.calls).toEqual(["save a", "save a"]);
    expect(kept(tab)).toEqual([1]);
  });

  test.each([
    ["damaged", new SessionFormatError("the SHA-256 of part 3", "1", "2"), "damaged", []],
    ["of another model", new SessionFormatError("model.weights", "1", "2"), "another model", [1]],
    ["too large now", new GpuOutOfMemoryError("rows", 1, 2), "no room", [1]],
    ["refused", new InvalidOptionError("engine", "1", "2"), "couldn’t be opened", [1]],
  ])("that are %s: said once, and the conversation goes on", async (_, failure, why, rest) => {
    const tab = await openTab();
    await tab.load();
    await tab.say("a");
    await tab.rest();
    await tab.begin();
    await tab.say("x");
    await tab.rest();
    tab.engine.failure = failure;
    await tab.open(idOf(tab, "a"));
    expect(tab.state.reopening).toMatchObject({ why: expect.stringContaining(why) as string });
    await tab.say("b");
    expect(tab.engine.calls.filter((call) => call === "restore a")).toHaveLength(1);
    expect(kept(tab).filter((questions) => questions === 1)).toEqual([1, ...rest]);
  });

  test("go with the conversation, and never into its file", async () => {
    const tab = await openTab();
    await tab.load();
    await tab.say("a");
    await tab.rest();
    expect(await tab.history.exportAll()).not.toMatch(/session|blob|bytes/);
    const undo = await tab.history.remove([idOf(tab, "a")]);
    expect(kept(tab)).toEqual([]);
    await undo();
    expect(kept(tab)).toEqual([]);
    expect(tab.history.heads).toHaveLength(1);
  });

  test("of a conversation that another tab has deleted aren't kept", async () => {
    const tab = await openTab();
    await tab.load();
    await tab.say("a");
    const other = await openTab();
    await other.history.remove([idOf(other, "a")]);
    await tab.rest();
    expect(tab.engine.calls).toEqual(["save a"]);
    await tab.history.sessions.refresh();
    expect(kept(tab)).toEqual([]);
  });

  test("give way where the storage is full: the conversation is kept", async () => {
    const tab = await openTab();
    await tab.load();
    await tab.say("a");
    await tab.rest();
    expect(kept(tab)).toEqual([1]);
    const { put } = IDBObjectStore.prototype;
    vi.spyOn(IDBObjectStore.prototype, "put").mockImplementation(function (
      this: IDBObjectStore,
      value: unknown,
    ) {
      if (tab.history.sessions.infos.size > 0) throw new DOMException("full", "QuotaExceededError");
      return put.call(this, value);
    });
    await tab.say("b");
    expect(tab.history.problem).toBeUndefined();
    expect(tab.history.heads[0]?.questions).toBe(2);
    expect(kept(tab)).toEqual([]);
  });

  test("aren't saved where every question reads the conversation again, nor where saving fails", async () => {
    const tab = await openTab();
    await tab.load();
    tab.state.settings = { ...DEFAULT_SETTINGS, followUp: "read-again" };
    await tab.say("a");
    await tab.rest();
    expect(tab.engine.calls).toEqual([]);
    tab.state.settings = DEFAULT_SETTINGS;
    await tab.say("b");
    tab.engine.failure = new GpuOutOfMemoryError("rows", 1, 2);
    await tab.rest();
    expect(tab.engine.calls).toEqual(["save ab"]);
    expect(kept(tab)).toEqual([]);
    expect(tab.history.heads).toHaveLength(1);
  });
});
