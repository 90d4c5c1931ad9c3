import { type HistoryDatabase, resultOf } from "./history-database.ts";
import type { ConversationHead, StoredConversation } from "./stored-conversation.ts";

type Body = Pick<StoredConversation, "id" | "turns">;

/** Conversations in the browser's storage. */
export interface HistoryStore {
  list(): Promise<ConversationHead[]>;
  read(id: string): Promise<StoredConversation | undefined>;
  /**
   * Write one conversation, unless another tab has written it since.
   * @param conversation with the revision that is expected to be there; 0 where it is new
   * @returns the revision that is there now; undefined where another tab came first, and nothing was written
   */
  write(conversation: StoredConversation): Promise<number | undefined>;
  /** Remove it, and the cache that was saved of it. */
  remove(id: string): Promise<void>;
}

/** The conversations of a database. */
export function createHistoryStore({ transact }: HistoryDatabase): HistoryStore {
  return {
    list: () => transact("readonly", ({ heads }) => resultOf<ConversationHead[]>(heads.getAll())),

    read: (id) =>
      transact("readonly", async ({ heads, bodies }) => {
        const [head, body] = await Promise.all([
          resultOf<ConversationHead | undefined>(heads.get(id)),
          resultOf<Body | undefined>(bodies.get(id)),
        ]);
        return head === undefined || body === undefined ? undefined : { ...head, ...body };
      }),

    write: ({ turns, ...head }) =>
      transact("readwrite", async ({ heads, bodies }) => {
        const there = await resultOf<ConversationHead | undefined>(heads.get(head.id));
        if ((there?.revision ?? 0) !== head.revision) return undefined;
        const revision = head.revision + 1;
        heads.put({ ...head, revision });
        bodies.put({ id: head.id, turns } satisfies Body);
        return revision;
      }),

    remove: (id) =>
      transact("readwrite", async (stores) => {
        for (const store of Object.values(stores)) store.delete(id);
      }),
  };
}
