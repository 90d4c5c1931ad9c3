/** Where a store keeps its files: folders of named files, each written once and whole. */
export interface StoreBackend {
  /** `opfs`: the origin's own file system; `cache`: the Cache API; `memory`: gone with the page. */
  readonly kind: "opfs" | "cache" | "memory";
  /** Names of all folders. */
  folders(): Promise<string[]>;
  /** Files of a folder by name, with their bytes; empty where there is no such folder. */
  files(folder: string): Promise<ReadonlyMap<string, number>>;
  /** A file; undefined where there is none. */
  read(folder: string, file: string): Promise<Blob | undefined>;
  /** Writes a file, which appears whole or not at all. */
  write(folder: string, file: string, bytes: Uint8Array<ArrayBuffer>): Promise<void>;
  /** Removes a file, if it is there. */
  removeFile(folder: string, file: string): Promise<void>;
  /** Removes a folder with its files, if it is there. */
  removeFolder(folder: string): Promise<void>;
}

/** A store that is gone with the page. */
export function memoryBackend(): StoreBackend {
  const folders = new Map<string, Map<string, Blob>>();
  return {
    kind: "memory",
    folders: async () => [...folders.keys()],
    files: async (folder) =>
      new Map([...(folders.get(folder) ?? [])].map(([name, blob]) => [name, blob.size])),
    read: async (folder, file) => folders.get(folder)?.get(file),
    async write(folder, file, bytes) {
      const files = folders.get(folder) ?? new Map<string, Blob>();
      folders.set(folder, files.set(file, new Blob([bytes])));
    },
    removeFile: async (folder, file) => void folders.get(folder)?.delete(file),
    removeFolder: async (folder) => void folders.delete(folder),
  };
}

/** A store in a directory: the origin's private file system, or what stands in for it. */
export function directoryBackend(root: FileSystemDirectoryHandle): StoreBackend {
  const open = async (folder: string): Promise<FileSystemDirectoryHandle | undefined> =>
    root.getDirectoryHandle(folder).catch(ignoreMissing);
  return {
    kind: "opfs",
    async folders() {
      const names: string[] = [];
      for await (const [name, handle] of root.entries()) {
        if (handle.kind === "directory") names.push(name);
      }
      return names;
    },
    async files(folder) {
      const found = new Map<string, number>();
      for await (const [name, handle] of (await open(folder))?.entries() ?? []) {
        if (handle.kind === "file") {
          found.set(name, (await (handle as FileSystemFileHandle).getFile()).size);
        }
      }
      return found;
    },
    async read(folder, file) {
      const handle = await (await open(folder))?.getFileHandle(file).catch(ignoreMissing);
      return handle?.getFile();
    },
    async write(folder, file, bytes) {
      const directory = await root.getDirectoryHandle(folder, { create: true });
      const handle = await directory.getFileHandle(file, { create: true });
      // What was written appears when it is closed: a tab that dies in between leaves nothing.
      const writable = await handle.createWritable();
      try {
        await writable.write(bytes);
      } catch (error) {
        await writable.abort().catch(() => undefined);
        throw error;
      }
      await writable.close();
    },
    removeFile: async (folder, file) =>
      (await open(folder))?.removeEntry(file).catch(ignoreMissing),
    removeFolder: (folder) => root.removeEntry(folder, { recursive: true }).catch(ignoreMissing),
  };
}

function ignoreMissing(error: unknown): undefined {
  if (error instanceof DOMException && error.name === "NotFoundError") return undefined;
  throw error;
}

/** Addresses in the cache: they are keys only, nothing is ever fetched from there. */
const CACHE_BASE = "https://ziggurat.invalid/";

/** A store in the Cache API, for browsers without a private file system. */
export function cacheBackend(cache: Cache): StoreBackend {
  const address = (folder: string, file: string): string => `${CACHE_BASE}${folder}/${file}`;
  const all = async (): Promise<[folder: string, file: string][]> =>
    (await cache.keys())
      .filter(({ url }) => url.startsWith(CACHE_BASE))
      .map(({ url }) => url.slice(CACHE_BASE.length).split("/") as [string, string]);
  const filesOf = async (folder: string): Promise<string[]> =>
    (await all()).filter(([own]) => own === folder).map(([, file]) => file);
  const remove = async (folder: string, file: string): Promise<void> =>
    void (await cache.delete(address(folder, file)));
  return {
    kind: "cache",
    folders: async () => [...new Set((await all()).map(([folder]) => folder))],
    async files(folder) {
      const found = new Map<string, number>();
      for (const file of await filesOf(folder)) {
        const response = await cache.match(address(folder, file));
        if (response) found.set(file, Number(response.headers.get("Content-Length")));
      }
      return found;
    },
    read: async (folder, file) => (await cache.match(address(folder, file)))?.blob(),
    write: (folder, file, bytes) =>
      cache.put(
        address(folder, file),
        new Response(bytes, { headers: { "Content-Length": String(bytes.length) } }),
      ),
    removeFile: remove,
    async removeFolder(folder) {
      for (const file of await filesOf(folder)) await remove(folder, file);
    },
  };
}
