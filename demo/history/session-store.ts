import { type HistoryDatabase, resultOf } from "./history-database.ts";
import type { ConversationHead } from "./stored-conversation.ts";

/**
 * Most bytes of all saved caches together: a dozen compressed ones of models that run in browsers, or one
 * full cache of some thousand tokens.
 */
export const MOST_SESSION_BYTES: number = 256 * 2 ** 20;

/** What is said of a conversation's saved cache without opening it. */
export interface SessionInfo {
  /** The conversation's. */
  readonly id: string;
  /** Milliseconds since 1970. */
  readonly savedAt: number;
  readonly bytes: number;
  /** How many questions of the conversation it has seen, and their answers. */
  readonly questions: number;
}

type Session = SessionInfo & { readonly blob: Blob };

/** The engine's saved sessions in the browser's storage: one for a conversation, at most. */
export interface SessionStore {
  list(): Promise<SessionInfo[]>;
  read(id: string): Promise<Blob | undefined>;
  /**
   * Write one in the place of the conversation's earlier one. Others go, the oldest first, where all would be
   * more than `MOST_SESSION_BYTES`.
   * @returns false where the conversation isn't there (any more), and nothing was written
   */
  write(info: SessionInfo, blob: Blob): Promise<boolean>;
  remove(ids: readonly string[]): Promise<void>;
}

/** The saved sessions of a database. */
export function createSessionStore({ transact }: HistoryDatabase): SessionStore {
  return {
    list: () =>
      transact("readonly", async ({ sessions }) => {
        const all = await resultOf<Session[]>(sessions.getAll());
        return all.map(({ id, savedAt, bytes, questions }) => ({ id, savedAt, bytes, questions }));
      }),

    read: (id) =>
      transact("readonly", async ({ sessions }) => {
        const found = await resultOf<Session | undefined>(sessions.get(id));
        return found?.blob;
      }),

    write: (info, blob) =>
      transact("readwrite", async ({ heads, sessions }) => {
        const head = await resultOf<ConversationHead | undefined>(heads.get(info.id));
        if (head === undefined) return false;
        const there = await resultOf<Session[]>(sessions.getAll());
        for (const { id } of makeRoomFor(info, there)) sessions.delete(id);
        sessions.put({ ...info, blob } satisfies Session);
        return true;
      }),

    remove: (ids) =>
      transact("readwrite", async ({ sessions }) => {
        for (const id of ids) sessions.delete(id);
      }),
  };
}

/** Which of those that are there have to go before another one is added, so that all stay within `most` bytes. */
export function makeRoomFor(
  added: Pick<SessionInfo, "id" | "bytes">,
  there: readonly SessionInfo[],
  most: number = MOST_SESSION_BYTES,
): SessionInfo[] {
  const others = there.filter(({ id }) => id !== added.id).sort((a, b) => a.savedAt - b.savedAt);
  let total = others.reduce((sum, { bytes }) => sum + bytes, added.bytes);
  return others.filter(({ bytes }) => {
    if (total <= most) return false;
    total -= bytes;
    return true;
  });
}
