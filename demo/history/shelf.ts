import { isFull, openHistoryDatabase } from "./history-database.ts";
import { createHistoryStore, type HistoryStore } from "./history-store.ts";
import { createSessionShelf, type SessionShelf } from "./session-shelf.ts";
import { createSessionStore, type SessionStore } from "./session-store.ts";
import type { ConversationHead, StoredConversation } from "./stored-conversation.ts";

/** Conversations in the storage and, where that takes nothing, in memory. */
export interface Shelf {
  readonly heads: ReadonlyMap<string, ConversationHead>;
  /** Why some last only as long as the page; undefined while all are kept. */
  readonly problem: string | undefined;
  /** What the engine had in its cache; these go first when the storage is full. */
  readonly sessions: SessionShelf;
  /** Open the storage; where it is refused, that is the problem. */
  open(onForeignChange: () => void): Promise<void>;
  /** Look at what other tabs have written. */
  refresh(): Promise<void>;
  /** Whether it waits in memory for room. */
  isUnsaved(id: string): boolean;
  read(id: string): Promise<StoredConversation | undefined>;
  /**
   * Keep a conversation.
   * @returns its head now; undefined where another tab has written it since, and nothing was done
   */
  put(conversation: StoredConversation): Promise<ConversationHead | undefined>;
  /** Write what had no room, but for one that is about to be written anew. */
  retry(except: string | undefined): Promise<void>;
  remove(id: string): Promise<void>;
}

/** An empty shelf. */
export function createShelf(): Shelf {
  const heads = new Map<string, ConversationHead>();
  /** What the storage didn't take: all, where it is refused. */
  const unsaved = new Map<string, StoredConversation>();
  let store: HistoryStore | undefined;
  let sessionStore: SessionStore | undefined;
  const sessions = createSessionShelf(() => sessionStore);
  let problem: string | undefined;

  /** What the storage says; `otherwise`, and a problem, where it fails. */
  async function attempt<T, F>(
    ask: (from: HistoryStore) => Promise<T>,
    otherwise: F,
  ): Promise<T | F> {
    if (store === undefined) return otherwise;
    try {
      return await ask(store);
    } catch (error) {
      problem = describeStorageProblem(error);
      return otherwise;
    }
  }

  const shelf: Shelf = {
    heads,
    sessions,
    get problem() {
      return problem;
    },
    isUnsaved: (id) => unsaved.has(id),

    async open(onForeignChange) {
      try {
        const database = await openHistoryDatabase(onForeignChange);
        store = createHistoryStore(database);
        sessionStore = createSessionStore(database);
      } catch (error) {
        problem = describeStorageProblem(error);
      }
      await shelf.refresh();
    },

    async refresh() {
      const listed = await attempt((from) => from.list(), undefined);
      if (listed === undefined) return;
      heads.clear();
      for (const head of listed) heads.set(head.id, head);
      for (const { turns: _, ...head } of unsaved.values()) heads.set(head.id, head);
      await sessions.refresh();
    },

    async read(id) {
      return unsaved.get(id) ?? (await attempt((from) => from.read(id), undefined));
    },

    async put(conversation) {
      const { turns: _, ...head } = conversation;
      const revision = await attempt(
        (to) => sessions.giveWayTo(() => to.write(conversation)),
        "failed" as const,
      );
      if (revision === undefined) return undefined;
      if (revision === "failed") {
        unsaved.set(head.id, conversation);
      } else {
        unsaved.delete(head.id);
        if (unsaved.size === 0) problem = undefined;
      }
      const written = revision === "failed" ? head : { ...head, revision };
      heads.set(head.id, written);
      return written;
    },

    async retry(except) {
      if (store === undefined) return;
      for (const conversation of unsaved.values()) {
        if (conversation.id !== except) await shelf.put(conversation);
      }
    },

    async remove(id) {
      await attempt((from) => from.remove(id), undefined);
      await sessions.refresh();
      unsaved.delete(id);
      heads.delete(id);
    },
  };
  return shelf;
}

function describeStorageProblem(error: unknown): string {
  return `Conversations can’t be kept: ${whyNotKept(error)}. They last until this page is closed; export them to keep them.`;
}

function whyNotKept(error: unknown): string {
  if (isFull(error)) return "the browser’s storage is full";
  const isOtherVersion = error instanceof DOMException && error.name === "VersionError";
  if (isOtherVersion) return "another version of this page is open in another tab, close that one";
  return "the browser refuses storage";
}
