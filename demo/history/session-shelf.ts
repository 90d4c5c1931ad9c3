import { isFull } from "./history-database.ts";
import type { SessionInfo, SessionStore } from "./session-store.ts";

/** The saved caches of conversations. What can't be kept costs time to read again, and nothing else. */
export interface SessionShelf {
  /** By conversation. */
  readonly infos: ReadonlyMap<string, SessionInfo>;
  /** Why the latest one wasn't kept; undefined where it was. */
  readonly problem: string | undefined;
  /** Look at what is there. */
  refresh(): Promise<void>;
  /** @throws what the browser throws where it can't be read */
  read(id: string): Promise<Blob | undefined>;
  put(info: SessionInfo, blob: Blob): Promise<void>;
  remove(ids: readonly string[]): Promise<void>;
  /**
   * Write something; while the storage is full, saved caches give way, the oldest first: they cost time to
   * make again, what else is kept here can't be made again.
   */
  giveWayTo<T>(write: () => Promise<T>): Promise<T>;
}

/** @param store undefined where nothing can be stored */
export function createSessionShelf(store: () => SessionStore | undefined): SessionShelf {
  let infos: ReadonlyMap<string, SessionInfo> = new Map();
  let problem: string | undefined;

  async function attempt(work: (from: SessionStore) => Promise<void>): Promise<void> {
    const from = store();
    if (from === undefined) return;
    try {
      await work(from);
      problem = undefined;
    } catch (error) {
      const why = isFull(error) ? "the browser’s storage is full" : String(error);
      problem = `The cache couldn’t be saved: ${why}.`;
    }
    await shelf.refresh();
  }

  const shelf: SessionShelf = {
    get infos() {
      return infos;
    },
    get problem() {
      return problem;
    },

    async refresh() {
      const listed =
        (await store()
          ?.list()
          .catch(() => [])) ?? [];
      infos = new Map(listed.map((info) => [info.id, info]));
    },

    read: async (id) => store()?.read(id),

    put: (info, blob) =>
      attempt(async (to) => {
        await shelf.giveWayTo(() => to.write(info, blob));
      }),

    remove: (ids) => attempt((from) => from.remove(ids)),

    async giveWayTo(write) {
      for (;;) {
        try {
          return await write();
        } catch (error) {
          const [oldest] = [...infos.values()].sort((a, b) => a.savedAt - b.savedAt);
          if (!isFull(error) || oldest === undefined) throw error;
          await store()?.remove([oldest.id]);
          await shelf.refresh();
        }
      }
    },
  };
  return shelf;
}
