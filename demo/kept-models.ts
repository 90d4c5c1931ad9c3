import {
  type ByteSource,
  type DownloadProgress,
  type HubModel,
  modelStore,
  SourceError,
} from "../src/index.ts";
import type { KeptCopy } from "./chat-state.ts";

/** A file that is fetched by its address can be kept; a folder, or files of the user's, stay where they are. */
export function isKeepable(
  source: unknown,
): source is URL | (HubModel & { readonly file: string }) {
  if (source instanceof URL) return !source.pathname.endsWith("/");
  return (
    typeof source === "object" && source !== null && "repository" in source && "file" in source
  );
}

/** What this device has of files that were fetched; nothing where nothing can be kept. */
export async function listKept(): Promise<KeptCopy[]> {
  const store = await modelStore();
  const files = (await store.list()).filter(({ storedBytes }) => storedBytes > 0);
  return files.map((file) => ({ ...file, isPersisted: store.isPersisted }));
}

/** What this device has of one of them. */
export async function findKept(url: URL): Promise<KeptCopy | undefined> {
  return (await listKept()).find((copy) => copy.url === url.href);
}

/** Let go of the copy of a file. */
export async function dropKept(url: string): Promise<void> {
  await (await modelStore()).delete(url);
}

/**
 * Copy a file to this device, going on from what is there, and read it from the copy.
 * @returns undefined where there is nothing that outlives the page; a text where it could not be kept
 * @throws SourceError when it can't be fetched; the signal's reason when aborted
 */
export async function fetchKept(
  source: URL | (HubModel & { readonly file: string }),
  signal: AbortSignal,
  onProgress: (progress: DownloadProgress) => void,
): Promise<ByteSource | string | undefined> {
  const store = await modelStore();
  if (store.kind === "memory") return undefined;
  try {
    if (source instanceof URL) return await store.download(source, { signal, onProgress });
    return (await store.model(source, { signal, onProgress })) as ByteSource;
  } catch (error) {
    if (error instanceof SourceError && isAboutRoom(error)) return error.message;
    throw error;
  }
}

/** Storing failed, not fetching: the model can still be read from where it is. */
function isAboutRoom({ source, cause }: SourceError): boolean {
  return source === "the model store" || cause instanceof DOMException;
}
