const DATABASE = "ziggurat-history";
const VERSION = 2;
const CHANNEL = "ziggurat-history";

/** Heads apart from the rest, so that listing the conversations doesn't read them. */
export const STORES = ["heads", "bodies", "sessions"] as const;
export type StoreName = (typeof STORES)[number];

/** The browser's storage of conversations, shared with other tabs. */
export interface HistoryDatabase {
  /** Run `work` in a transaction of its own; resolves when it is on disk. */
  transact<T>(
    mode: IDBTransactionMode,
    work: (stores: Readonly<Record<StoreName, IDBObjectStore>>) => Promise<T>,
  ): Promise<T>;
}

/**
 * Open the storage.
 * @param onForeignChange called when another tab has changed something
 * @throws what the browser throws where storage is refused; VersionError where another version of this page uses it
 */
export async function openHistoryDatabase(onForeignChange: () => void): Promise<HistoryDatabase> {
  const database = await open();
  const channel = new BroadcastChannel(CHANNEL);
  channel.addEventListener("message", onForeignChange);
  return {
    async transact(mode, work) {
      const transaction = database.transaction(STORES, mode);
      const done = new Promise<void>((resolve, reject) => {
        transaction.addEventListener("complete", () => resolve());
        transaction.addEventListener("abort", () =>
          reject(transaction.error ?? new Error("aborted")),
        );
      });
      const [heads, bodies, sessions] = STORES.map((name) => transaction.objectStore(name)) as [
        IDBObjectStore,
        IDBObjectStore,
        IDBObjectStore,
      ];
      const [result] = await Promise.all([work({ heads, bodies, sessions }), done]);
      // Its argument is the message; there is no origin to give.
      if (mode === "readwrite") channel.postMessage("changed"); // oxlint-disable-line unicorn/require-post-message-target-origin
      return result;
    },
  };
}

/** What a request comes to. */
export function resultOf<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.addEventListener("success", () => resolve(request.result));
    request.addEventListener("error", () => reject(request.error ?? new Error("no reason given")));
  });
}

/** Whether the storage took no more. */
export function isFull(error: unknown): boolean {
  return error instanceof DOMException && error.name === "QuotaExceededError";
}

function open(): Promise<IDBDatabase> {
  const opening = indexedDB.open(DATABASE, VERSION);
  opening.addEventListener("upgradeneeded", () => {
    const { result } = opening;
    for (const name of STORES) {
      if (!result.objectStoreNames.contains(name))
        result.createObjectStore(name, { keyPath: "id" });
    }
  });
  // A page of a later version isn't kept waiting.
  opening.addEventListener("success", () => {
    const { result } = opening;
    result.addEventListener("versionchange", () => result.close());
  });
  const blocked = new Promise<never>((_, reject) => {
    opening.addEventListener("blocked", () => {
      reject(new DOMException("an older version is open in another tab", "VersionError"));
    });
  });
  return Promise.race([resultOf(opening), blocked]);
}
