import type { ModelSource } from "../hub/open-source.ts";
import type { ByteSource } from "../formats/byte-source.ts";
import { listedFiles } from "../hub/folders.ts";
import type { ModelFolder } from "../formats/folder.ts";

/** What stays on the page's side: things that read, or open files, by a function. */
export type KeptSource = ByteSource | ModelFolder;

/** A source that stays on the page's side; the worker asks for its bytes. */
interface RemoteSource {
  readonly remoteSource: number;
  readonly name: string;
  readonly size: number;
}

/** A folder that stays on the page's side; the worker asks for its files. */
interface RemoteFolder {
  readonly remoteFolder: number;
  readonly name: string;
}

/** The worker's way to what stays on the page's side. */
export interface PageSources {
  read(
    source: number,
    offset: number,
    length: number,
    signal: AbortSignal | undefined,
  ): Promise<Uint8Array>;
  /** Gives a file as it was packed; undefined where there is none. */
  open(folder: number, path: string, signal: AbortSignal | undefined): Promise<unknown>;
}

/**
 * A model's source as data. Blobs, files and handles are cloned, which shares their bytes; relative
 * addresses are resolved here, since the worker has another base; sources and folders that are read by a
 * function stay, and are noted in `kept`.
 */
export function packSource(value: unknown, kept: KeptSource[]): unknown {
  if (typeof value === "string" || value instanceof URL) return absolute(String(value));
  // Listed here: the way to a file, which says whether it counts, isn't cloned by every browser.
  const files = listedFiles(value);
  if (files !== undefined) return files;
  if (Array.isArray(value)) return value.map((item) => packSource(item, kept));
  if (has(value, "read")) {
    const { name, size } = value as ByteSource;
    return { remoteSource: kept.push(value as ByteSource) - 1, name, size } satisfies RemoteSource;
  }
  if (has(value, "open")) {
    const { name } = value as ModelFolder;
    return { remoteFolder: kept.push(value as ModelFolder) - 1, name } satisfies RemoteFolder;
  }
  return value;
}

/** The source again, on the worker's side. */
export function unpackSource(value: unknown, page: PageSources): ModelSource {
  if (Array.isArray(value)) {
    return value.map((item) => unpackSource(item, page)) as unknown as ModelSource;
  }
  const { remoteSource, remoteFolder, name, size } = (value ?? {}) as Partial<
    RemoteSource & RemoteFolder
  >;
  if (remoteSource !== undefined) {
    return {
      name,
      size,
      read: (offset, length, signal) => page.read(remoteSource, offset, length, signal),
    } as ByteSource;
  }
  if (remoteFolder !== undefined) {
    return {
      name,
      async open(path, signal) {
        const file = await page.open(remoteFolder, path, signal);
        return file === undefined ? undefined : unpackSource(file, page);
      },
    } as ModelFolder;
  }
  return value as ModelSource;
}

function absolute(address: string): string {
  const { document, location } = globalThis as Partial<typeof globalThis>;
  const base = document?.baseURI ?? location?.href;
  // What is no address is refused by whoever opens it.
  return URL.canParse(address, base) ? new URL(address, base).href : address;
}

function has(value: unknown, method: string): boolean {
  return typeof (value as Record<string, unknown> | undefined | null)?.[method] === "function";
}
