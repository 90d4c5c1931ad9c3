/** What the store uses of a directory of the origin's private file system, in memory. */
export function fakeDirectory(name = ""): FileSystemDirectoryHandle {
  const children = new Map<string, FileSystemHandle>();
  const missing = (): never => {
    throw new DOMException("it is not there", "NotFoundError");
  };
  const find = async <T extends FileSystemHandle>(
    path: string,
    create: (() => T) | undefined,
  ): Promise<T> => {
    const found = children.get(path) ?? create?.() ?? missing();
    children.set(path, found);
    return found as T;
  };
  const handle = {
    kind: "directory",
    name,
    getDirectoryHandle: (path: string, options?: { create?: boolean }) =>
      find(path, options?.create ? () => fakeDirectory(path) : undefined),
    getFileHandle: (path: string, options?: { create?: boolean }) =>
      find(path, options?.create ? () => fakeFile(path) : undefined),
    removeEntry: async (path: string) => void (children.delete(path) || missing()),
    async *entries() {
      yield* children;
    },
  };
  return handle as unknown as FileSystemDirectoryHandle;
}

/** A file; what is written appears when it is closed. */
function fakeFile(name: string): FileSystemFileHandle {
  let content = new Blob([]);
  const handle = {
    kind: "file",
    name,
    getFile: async () => content,
    async createWritable() {
      const parts: BlobPart[] = [];
      return {
        write: async (part: Uint8Array<ArrayBuffer>) => void parts.push(part.slice()),
        abort: async () => undefined,
        close: async () => void (content = new Blob(parts)),
      };
    },
  };
  return handle as unknown as FileSystemFileHandle;
}

/** What the store uses of the Cache API, in memory. */
export function fakeCache(): Cache {
  const entries = new Map<string, Response>();
  const cache = {
    keys: async () => [...entries.keys()].map((url) => ({ url })),
    match: async (url: string) => entries.get(url)?.clone(),
    put: async (url: string, response: Response) => void entries.set(url, response),
    delete: async (url: string) => entries.delete(url),
  };
  return cache as unknown as Cache;
}
