import type { Chat } from "../chat.ts";
import type { Turn } from "../conversation.ts";
import { randomId } from "../random-id.ts";
import { readHistoryFile } from "./history-file.ts";
import { exportFrom, type ImportCount, importInto } from "./history-transfer.ts";
import type { SessionShelf } from "./session-shelf.ts";
import { createShelf } from "./shelf.ts";
import {
  type ConversationHead,
  fingerprint,
  type StoredConversation,
  titleOf,
  toStored,
} from "./stored-conversation.ts";
import { recallTab, rememberTab } from "./tab-memory.ts";

/** How long what streams is gathered before it is written, in ms. */
const SAVE_DELAY_MS = 1000;

const CHANGED = "This conversation was changed in another tab. If it goes on here, both are kept.";
const DELETED =
  "This conversation was deleted in another tab. If it goes on here, it is kept anew.";
const COPIED = "This conversation was changed in another tab; what is here is kept as a copy.";

/** What another tab did to the open conversation. */
export interface Elsewhere {
  readonly said: string;
  /** What is kept is newer than what is shown. */
  readonly canShow: boolean;
}

/** The conversations of this browser, the one in the page among them. */
export interface History {
  /** Latest first. */
  readonly heads: readonly ConversationHead[];
  /** The one in the page; undefined where it isn't kept yet. */
  readonly openId: string | undefined;
  /** Why conversations last only as long as the page; undefined while they are kept. */
  readonly problem: string | undefined;
  readonly elsewhere: Elsewhere | undefined;
  /** What the engine had in its cache of conversations that are kept. */
  readonly sessions: SessionShelf;
  /** Under which id the chat's conversation of this number is kept; undefined where it isn't. */
  idOf(conversationId: number): string | undefined;
  /** Open the storage, and the conversation that this tab had before a reload. */
  start(): Promise<void>;
  /** The chat has changed: what is new will be saved. */
  noteChange(): void;
  /** Save what is new now. */
  save(): Promise<void>;
  open(id: string): Promise<void>;
  rename(id: string, title: string): Promise<void>;
  /** @returns puts them back */
  remove(ids: readonly string[]): Promise<() => Promise<void>>;
  /** All of them as a file. */
  exportAll(): Promise<string>;
  /** @throws HistoryFileError when the file can't be read; then nothing has changed */
  importFile(file: Blob): Promise<ImportCount>;
}

/** A conversation that is or was in the page. */
interface Tracked {
  /** The chat's own number of it. */
  readonly chatId: number;
  /** Undefined until it is kept. */
  head: ConversationHead | undefined;
  turns: Turn[];
  /** What was saved last, and what was looked at last. */
  saved: string;
  seen: string;
  isDeleted: boolean;
}

/** Keep the conversations of a chat; `onChange` is called when the list or a notice has changed. */
export function createHistory(chat: Chat, onChange: () => void): History {
  const shelf = createShelf();
  /** By the chat's number: "Bring it back" returns to one of these. */
  const known = new Map<number, Tracked>();
  let tracked = track(undefined);
  let elsewhere: Elsewhere | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  /** What the chat shows comes from here: it isn't new. */
  let isOpening = false;
  /** One thing after the other. */
  let work: Promise<unknown> = Promise.resolve();

  function track(head: ConversationHead | undefined): Tracked {
    const { conversationId: chatId, turns } = chat.state;
    const saved = head === undefined ? "" : fingerprint(turns);
    return { chatId, head, turns, saved, seen: "", isDeleted: false };
  }

  function enqueue<T>(job: () => Promise<T>): Promise<T> {
    const result = work.then(job);
    work = result.catch(() => {});
    return result;
  }

  async function saveNow(of: Tracked): Promise<void> {
    const now = fingerprint(of.turns);
    // An empty conversation that was never kept is none.
    const isNone = of.turns.length === 0 && of.head === undefined;
    if (now === of.saved || isNone || of.isDeleted) return;
    await shelf.retry(of.head?.id);
    const time = Date.now();
    const turns = of.turns.map(toStored);
    const before = of.head ?? {
      id: randomId(),
      title: titleOf(turns),
      createdAt: time,
      revision: 0,
    };
    const wanted = { ...before, changedAt: time, questions: turns.length, turns };
    let written = await shelf.put(wanted);
    if (written === undefined) {
      // Another tab has written it, or deleted it: nothing of either is to be lost.
      const title = `${wanted.title} (copy)`;
      written = await shelf.put({ ...wanted, id: randomId(), title, revision: 0 });
      if (of === tracked) elsewhere = { said: COPIED, canShow: false };
    }
    of.head = written;
    of.saved = now;
    if (of === tracked) rememberTab(written?.id);
    onChange();
  }

  async function refreshNow(): Promise<void> {
    await shelf.refresh();
    const { head } = tracked;
    if (head !== undefined && !shelf.isUnsaved(head.id)) {
      const there = shelf.heads.get(head.id);
      if (there === undefined) elsewhere = { said: DELETED, canShow: false };
      else if (there.changedAt !== head.changedAt) elsewhere = { said: CHANGED, canShow: true };
      else tracked.head = there; // no more than its title
    }
    onChange();
  }

  async function openNow(id: string): Promise<void> {
    const found = await shelf.read(id);
    if (found === undefined) return onChange();
    const { turns, ...head } = found;
    const before = tracked;
    isOpening = true;
    chat.openConversation(turns);
    isOpening = false;
    known.set(before.chatId, before);
    tracked = track(head);
    await saveNow(before);
    elsewhere = undefined;
    rememberTab(id);
    onChange();
  }

  async function removeNow(ids: readonly string[]): Promise<StoredConversation[]> {
    const removed: StoredConversation[] = [];
    for (const id of ids) {
      const found = await shelf.read(id);
      if (found !== undefined) removed.push(found);
      await shelf.remove(id);
      if (id !== tracked.head?.id) continue;
      // What is written here meanwhile isn't to come back as a copy.
      tracked.isDeleted = true;
      chat.openConversation([]);
    }
    onChange();
    return removed;
  }

  const history: History = {
    get heads() {
      return [...shelf.heads.values()].sort((a, b) => b.changedAt - a.changedAt);
    },
    get openId() {
      return tracked.head?.id;
    },
    get problem() {
      return shelf.problem;
    },
    get elsewhere() {
      return elsewhere;
    },
    sessions: shelf.sessions,

    idOf(conversationId) {
      const found = tracked.chatId === conversationId ? tracked : known.get(conversationId);
      return found?.isDeleted === true ? undefined : found?.head?.id;
    },

    start: () =>
      enqueue(async () => {
        await shelf.open(() => void enqueue(refreshNow));
        const id = recallTab();
        if (id !== undefined && chat.state.turns.length === 0) await openNow(id);
        onChange();
      }),

    noteChange() {
      if (isOpening) return;
      const { conversationId, turns } = chat.state;
      if (conversationId !== tracked.chatId) {
        const before = tracked;
        known.set(before.chatId, before);
        tracked = known.get(conversationId) ?? track(undefined);
        elsewhere = undefined;
        rememberTab(tracked.head?.id);
        void enqueue(() => saveNow(before));
      }
      tracked.turns = turns;
      const last = turns.at(-1);
      const seen = `${turns.length} ${last?.id} ${last?.state}`;
      if (seen !== tracked.seen) void history.save();
      else timer ??= setTimeout(() => void history.save(), SAVE_DELAY_MS);
      tracked.seen = seen;
    },

    save() {
      clearTimeout(timer);
      timer = undefined;
      const current = tracked;
      return enqueue(() => saveNow(current));
    },

    async open(id) {
      await history.save();
      await enqueue(() => openNow(id));
    },

    rename: (id, title) =>
      enqueue(async () => {
        await shelf.retry(id);
        const found = await shelf.read(id);
        const head = found === undefined ? undefined : await shelf.put({ ...found, title });
        if (head !== undefined && tracked.head?.id === id) tracked.head = head;
        onChange();
      }),

    async remove(ids) {
      await history.save();
      const removed = await enqueue(() => removeNow(ids));
      return () =>
        enqueue(async () => {
          for (const conversation of removed) await shelf.put({ ...conversation, revision: 0 });
          onChange();
        });
    },

    async exportAll() {
      await history.save();
      return enqueue(() => exportFrom(shelf, history.heads));
    },

    async importFile(file) {
      const conversations = await readHistoryFile(file);
      await history.save();
      return enqueue(async () => {
        const count = await importInto(shelf, conversations);
        onChange();
        return count;
      });
    },
  };
  return history;
}
