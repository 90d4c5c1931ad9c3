import { SourceError } from "../errors.ts";
import type { ByteSource } from "../formats/byte-source.ts";
import type { ModelFolder } from "../formats/folder.ts";
import { download, type DownloadOptions } from "./download.ts";
import { urlFolder } from "./folders.ts";
import { hubSha256 } from "./hub-hash.ts";
import { hubAddress, type HubModel } from "./hub-repository.ts";
import { startStage } from "./progress.ts";
import {
  cacheBackend,
  directoryBackend,
  memoryBackend,
  type StoreBackend,
} from "./store-backend.ts";
import {
  bytesOf,
  type CheckOptions,
  findPieces,
  folderOf,
  isSound,
  pieceCount,
  pieceLength,
  readManifest,
} from "./stored-file.ts";

/** A file that a store has, or has begun to fetch. */
export interface StoredFile {
  /** Its address; of what isn't readable a name, which `delete` takes. */
  readonly url: string;
  readonly totalBytes: number;
  /** Bytes that are there; less than `totalBytes` where the download was cut. */
  readonly storedBytes: number;
  /** False of what is damaged, or was left by another version: it only uses room, and is not deleted by itself. */
  readonly isReadable: boolean;
}

/** Options of a download by a store. */
export type StoreDownloadOptions = Omit<DownloadOptions, "checkRoom" | "findSha256">;

/** Model files kept on this device, so that they are fetched once. */
export interface ModelStore {
  /**
   * Where the files are: the origin's private file system, the Cache API, or only memory, which is gone with the page.
   */
  readonly kind: StoreBackend["kind"];
  /** Whether the browser promised not to clear it when room gets short; it is asked at the first download. */
  readonly isPersisted: boolean;
  /**
   * Fetch a file, or what is missing of it, and read it from here. A complete copy needs no network. Pass the result to
   * `loadEngine`.
   * @throws SourceError when it cannot be fetched, doesn't fit or changes meanwhile; the signal's reason when aborted.
   *   What was fetched stays, and the next call goes on from there.
   */
  download(url: string | URL, options?: StoreDownloadOptions): Promise<ByteSource>;
  /**
   * The same for one file of a hub's repository (`file`), or for all files that a model needs, as they are asked for.
   * Large ones must have the SHA-256 that the hub says, also where `download` made the copy: else they are deleted, with a
   * SourceError.
   */
  model(model: HubModel, options?: StoreDownloadOptions): Promise<ByteSource | ModelFolder>;
  /** All files, complete or not, and what isn't readable. */
  list(): Promise<StoredFile[]>;
  /**
   * Hash every piece of a file again and drop those that are damaged, so that the next `download` fetches them.
   * @returns whether the file is complete and sound.
   * @throws the signal's reason when aborted.
   */
  verify(url: string | URL, options?: CheckOptions): Promise<boolean>;
  /** Remove a file, or what isn't readable. */
  delete(url: string | URL): Promise<void>;
}

/** The folder, or the cache, that belongs to us. */
const NAME = "ziggurat-models";

/** Goes before the name of a folder whose address can't be read. */
const UNREADABLE = "unreadable:";

/**
 * Open this origin's store: its private file system if it has one, else the Cache API, else memory (`kind` says which).
 * Fetches nothing, and asks nobody for anything.
 *
 * @param backend for tests, and for apps that keep files elsewhere.
 */
export async function modelStore(backend?: StoreBackend): Promise<ModelStore> {
  const files = backend ?? (await openBackend());
  const storage = backend === undefined ? globalThis.navigator?.storage : undefined;
  const persistent = files.kind === "memory" ? undefined : storage;
  let isPersisted = (await persistent?.persisted?.().catch(() => false)) ?? false;
  let asked = isPersisted;
  /** Some browsers ask the user, who may take his time: nothing waits for it. */
  const askToPersist = (): void => {
    if (asked) return;
    asked = true;
    persistent?.persist?.().then(
      (granted) => (isPersisted = granted),
      () => {},
    );
  };
  const checkRoom = async (bytes: number): Promise<void> => {
    const { quota, usage } = (await storage?.estimate?.().catch(() => undefined)) ?? {};
    if (quota === undefined || usage === undefined || bytes <= quota - usage) return;
    throw new SourceError(
      "the model store",
      `needs ${bytes} more bytes, but the browser leaves ${quota - usage}; delete a stored model`,
    );
  };
  const store: ModelStore = {
    kind: files.kind,
    get isPersisted() {
      return isPersisted;
    },
    download(url, options = {}) {
      askToPersist();
      return download(files, absolute(url), { ...options, checkRoom });
    },
    async model(model, options = {}) {
      const [address, raw] = [hubAddress(model), hubAddress(model, "raw")];
      const open = (url: string, signal = options.signal): Promise<ByteSource> => {
        askToPersist();
        const findSha256 = (): Promise<string | undefined> =>
          hubSha256(`${raw}${url.slice(address.length)}`, { ...options, signal });
        return download(files, url, { ...options, signal, checkRoom, findSha256 });
      };
      return model.file === undefined ? urlFolder(address, open) : open(`${address}${model.file}`);
    },
    async list() {
      const found: StoredFile[] = [];
      for (const folder of await files.folders()) {
        const manifest = await readManifest(files, folder);
        if (manifest === undefined) {
          const sizes = (await files.files(folder)).values();
          const bytes = [...sizes].reduce((sum, size) => sum + size, 0);
          const url = `${UNREADABLE}${folder}`;
          // None are there for a moment where another tab begins a file.
          if (bytes > 0) {
            found.push({ url, totalBytes: bytes, storedBytes: bytes, isReadable: false });
          }
          continue;
        }
        const storedBytes = bytesOf(manifest, await findPieces(files, folder, manifest));
        const { url, size: totalBytes } = manifest;
        found.push({ url, totalBytes, storedBytes, isReadable: true });
      }
      return found.sort((a, b) => (a.url < b.url ? -1 : 1));
    },
    async verify(url, options = {}) {
      const folder = await folderOf(absolute(url));
      const manifest = await readManifest(files, folder);
      if (manifest === undefined) return false;
      const pieces = await findPieces(files, folder, manifest);
      const totalBytes = bytesOf(manifest, pieces);
      const stage = { url: manifest.url, stage: "check", totalBytes, storedBytes: 0 } as const;
      const report = startStage(options, stage);
      let sound = 0;
      for (const [index, name] of pieces) {
        options.signal?.throwIfAborted();
        if (await isSound(files, folder, name)) sound++;
        else await files.removeFile(folder, name);
        report(pieceLength(manifest, index));
      }
      return sound === pieceCount(manifest);
    },
    async delete(url) {
      const address = absolute(url);
      const folder = address.startsWith(UNREADABLE)
        ? address.slice(UNREADABLE.length)
        : await folderOf(address);
      await files.removeFolder(folder);
    },
  };
  return store;
}

/** The address itself, whatever page asks for it. */
function absolute(url: string | URL): string {
  const { location } = globalThis as Partial<typeof globalThis>;
  return URL.canParse(url, location?.href) ? new URL(url, location?.href).href : String(url);
}

/** The best place that there is; each can be there and still refuse (private windows). */
async function openBackend(): Promise<StoreBackend> {
  const { navigator, caches } = globalThis as Partial<typeof globalThis>;
  try {
    const root = await navigator?.storage?.getDirectory?.();
    if (root !== undefined && "createWritable" in FileSystemFileHandle.prototype) {
      return directoryBackend(await root.getDirectoryHandle(NAME, { create: true }));
    }
  } catch {
    // The next one.
  }
  try {
    if (caches !== undefined) return cacheBackend(await caches.open(NAME));
  } catch {
    // Memory it is.
  }
  return memoryBackend();
}
