import type { ConversationHead, StoredConversation } from "./stored-conversation.ts";

const DATABASE = "ziggurat-history";
const CHANNEL = "ziggurat-history";

/** Two object stores, so that listing the conversations doesn't read them. */
const HEADS = "heads";
const BODIES = "bodies";

type Body = Pick<StoredConversation, "id" | "turns">;

/** Conversations in the browser's storage, shared with other tabs. */
export interface HistoryStore {
  list(): Promise<ConversationHead[]>;
  read(id: string): Promise<StoredConversation | undefined>;
  /**
   * Write one conversation, unless another tab has written it since.
   * @param conversation with the revision that is expected to be there; 0 where it is new
   * @returns the revision that is there now; undefined where another tab came first, and nothing was written
   */
  write(conversation: StoredConversation): Promise<number | undefined>;
  remove(id: string): Promise<void>;
}

/**
 * Open the storage.
 * @param onForeignChange called when another tab has changed a conversation
 * @throws what the browser throws where storage is refused
 */
export async function openHistoryStore(onForeignChange: () => void): Promise<HistoryStore> {
  const opening = indexedDB.open(DATABASE, 1);
  opening.addEventListener("upgradeneeded", () => {
    for (const name of [HEADS, BODIES]) opening.result.createObjectStore(name, { keyPath: "id" });
  });
  const database = await resultOf(opening);
  const channel = new BroadcastChannel(CHANNEL);
  channel.addEventListener("message", onForeignChange);

  /** Run `work` in a transaction of its own; resolves when it is on disk. */
  async function transact<T>(
    mode: IDBTransactionMode,
    work: (heads: IDBObjectStore, bodies: IDBObjectStore) => Promise<T>,
  ): Promise<T> {
    const transaction = database.transaction([HEADS, BODIES], mode);
    const done = new Promise<void>((resolve, reject) => {
      transaction.addEventListener("complete", () => resolve());
      transaction.addEventListener("abort", () =>
        reject(transaction.error ?? new Error("aborted")),
      );
    });
    const [result] = await Promise.all([
      work(transaction.objectStore(HEADS), transaction.objectStore(BODIES)),
      done,
    ]);
    // Its argument is the message; there is no origin to give.
    if (mode === "readwrite") channel.postMessage("changed"); // oxlint-disable-line unicorn/require-post-message-target-origin
    return result;
  }

  return {
    list: () => transact("readonly", (heads) => resultOf<ConversationHead[]>(heads.getAll())),

    read: (id) =>
      transact("readonly", async (heads, bodies) => {
        const [head, body] = await Promise.all([
          resultOf<ConversationHead | undefined>(heads.get(id)),
          resultOf<Body | undefined>(bodies.get(id)),
        ]);
        return head === undefined || body === undefined ? undefined : { ...head, ...body };
      }),

    write: ({ turns, ...head }) =>
      transact("readwrite", async (heads, bodies) => {
        const there = await resultOf<ConversationHead | undefined>(heads.get(head.id));
        if ((there?.revision ?? 0) !== head.revision) return undefined;
        const revision = head.revision + 1;
        heads.put({ ...head, revision });
        bodies.put({ id: head.id, turns } satisfies Body);
        return revision;
      }),

    remove: (id) =>
      transact("readwrite", async (heads, bodies) => {
        heads.delete(id);
        bodies.delete(id);
      }),
  };
}

function resultOf<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.addEventListener("success", () => resolve(request.result));
    request.addEventListener("error", () => reject(request.error ?? new Error("no reason given")));
  });
}
