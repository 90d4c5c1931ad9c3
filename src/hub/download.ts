import { InvalidOptionError, SourceError } from "../errors.ts";
import type { ByteSource } from "../formats/byte-source.ts";
import {
  HttpStatusError,
  type HttpFile,
  type HttpOptions,
  openHttpFile,
  TransferError,
} from "./http-range.ts";
import { pause } from "../pause.ts";
import { type DownloadProgress, startStage } from "./progress.ts";
import type { StoreBackend } from "./store-backend.ts";
import {
  checkWhole,
  dropCheck,
  findPieces,
  folderOf,
  MANIFEST_FILE,
  MAX_PIECE_BYTES,
  type Manifest,
  pieceCount,
  pieceLength,
  readManifest,
  storedSource,
  writeManifest,
  writePiece,
} from "./stored-file.ts";

/** How a file is fetched into a store. */
export interface DownloadOptions extends HttpOptions {
  /** Called as bytes come, and as they are checked. */
  readonly onProgress?: (progress: DownloadProgress) => void;
  /** Requests at a time (4), from 1 to 32. */
  readonly parallel?: number;
  /** Bytes of a piece (4 MiB), from 1 KiB to 64 MiB: what is lost when a request is cut. */
  readonly pieceBytes?: number;
  /** Tries of a piece before giving up (4), from 1 to 16, with growing pauses. */
  readonly tries?: number;
  /** First pause between two tries, in milliseconds (500), at most a minute. */
  readonly pauseMs?: number;
  /** Throws where so many more bytes don't fit. */
  readonly checkRoom?: (bytes: number) => Promise<void>;
  /** Asks for the SHA-256 of the whole file, which the copy must have; undefined where nobody tells. */
  readonly findSha256?: () => Promise<string | undefined>;
}

const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** Least and most of each option that counts. */
const BOUNDS = {
  parallel: [1, 32],
  pieceBytes: [1024, MAX_PIECE_BYTES],
  tries: [1, 16],
  pauseMs: [0, 60_000],
  stallMs: [1, LONGEST_TIMER_MS],
} as const;

/**
 * Copy a file into a store, in pieces of which several are fetched at once; pieces that are there already are not
 * fetched again. Whenever it ends, by an error, an abort or a closed tab, the finished pieces stay. A complete copy is
 * used without asking the server; only its hash is asked for, where nobody asked before and `findSha256` can.
 *
 * @returns a source that reads the copy.
 * @throws SourceError when it cannot be fetched or stored, changes meanwhile, or is not what its hub says; InvalidOptionError; the signal's reason when aborted.
 */
export async function download(
  backend: StoreBackend,
  url: string,
  options: DownloadOptions = {},
): Promise<ByteSource> {
  const { signal, parallel = 4 } = options;
  assertBounds(options);
  signal?.throwIfAborted();
  const folder = await folderOf(url);
  const known = await readManifest(backend, folder);
  if (known !== undefined) {
    const pieces = await findPieces(backend, folder, known);
    if (pieces.size === pieceCount(known)) {
      const manifest = await withHash(backend, folder, known, options);
      const source = storedSource(backend, folder, manifest, pieces);
      await checkWhole(backend, folder, manifest, source, options);
      return source;
    }
  }
  const remote = await retried(options, () => openHttpFile(url, options));
  const { manifest: fixed, pieces } = await begin(backend, folder, url, remote, options);
  const missing = Array.from({ length: pieceCount(fixed) }, (_, i) => i).filter(
    (i) => !pieces.has(i),
  );
  const missingBytes = missing.reduce((sum, index) => sum + pieceLength(fixed, index), 0);
  await options.checkRoom?.(missingBytes);
  if (missing.length > 0) await dropCheck(backend, folder);
  const [totalBytes, storedBytes] = [fixed.size, fixed.size - missingBytes];
  const report = startStage(options, { url, stage: "fetch", totalBytes, storedBytes });

  const failed = new AbortController();
  const stop = AbortSignal.any(signal ? [failed.signal, signal] : [failed.signal]);
  const work = async (): Promise<void> => {
    while (missing.length > 0) {
      const index = missing.shift() as number;
      const [start, length] = [index * fixed.pieceBytes, pieceLength(fixed, index)];
      const bytes = await retried({ ...options, signal: stop }, () =>
        remote.read(start, length, stop),
      );
      stop.throwIfAborted();
      const own = bytes as Uint8Array<ArrayBuffer>;
      pieces.set(index, await stored(url, () => writePiece(backend, folder, index, own)));
      report(length);
    }
  };
  const workers = Array.from({ length: parallel }, work);
  try {
    await Promise.all(workers);
  } catch (error) {
    failed.abort();
    await Promise.allSettled(workers);
    signal?.throwIfAborted();
    throw error;
  }
  const source = storedSource(backend, folder, fixed, pieces);
  await checkWhole(backend, folder, fixed, source, options);
  return source;
}

function assertBounds(options: DownloadOptions): void {
  for (const [name, [least, most]] of Object.entries(BOUNDS)) {
    const value = options[name as keyof typeof BOUNDS];
    if (value === undefined) continue;
    if (!Number.isInteger(value) || value < least || value > most) {
      throw new InvalidOptionError(name, value, `a whole number from ${least} to ${most}`);
    }
  }
}

/**
 * What there is of a copy of this file, or a new one. Another tab may be at the same file: it writes its manifest
 * before any piece, so pieces whose manifest can't be read after them are nobody's.
 */
async function begin(
  backend: StoreBackend,
  folder: string,
  url: string,
  remote: HttpFile,
  options: DownloadOptions,
): Promise<{ readonly manifest: Manifest; readonly pieces: Map<number, string> }> {
  const hasPieces = [...(await backend.files(folder)).keys()].some(
    (name) => name !== MANIFEST_FILE,
  );
  const known = await readManifest(backend, folder);
  if (known !== undefined && isSame(known, remote)) {
    const manifest = await withHash(backend, folder, known, options);
    return { manifest, pieces: await findPieces(backend, folder, known) };
  }
  if (hasPieces || known !== undefined) await backend.removeFolder(folder);
  const sha256 = await askHash(options);
  const { pieceBytes = 4 * 1024 * 1024 } = options;
  const manifest = { url, size: remote.size, pieceBytes, ...tagsOf(remote), sha256 };
  await writeManifest(backend, folder, manifest);
  return { manifest, pieces: new Map() };
}

/** The manifest of a copy that was begun, with the hash that nobody asked for then. */
async function withHash(
  backend: StoreBackend,
  folder: string,
  known: Manifest,
  options: DownloadOptions,
): Promise<Manifest> {
  const sha256 = known.sha256 ?? (await askHash(options));
  if (sha256 === known.sha256) return known;
  const manifest = { ...known, sha256 };
  await writeManifest(backend, folder, manifest);
  return manifest;
}

/** What `Manifest.sha256` is to be. */
async function askHash(options: DownloadOptions): Promise<string | undefined> {
  const { findSha256 } = options;
  return findSha256 && ((await retried(options, findSha256)) ?? "");
}

async function stored<T>(url: string, write: () => Promise<T>): Promise<T> {
  try {
    return await write();
  } catch (cause) {
    const full = cause instanceof DOMException && cause.name === "QuotaExceededError";
    const why = full ? "there is no room left; delete a stored model" : String(cause);
    throw new SourceError(url, `could not be stored: ${why}`, { cause });
  }
}

function tagsOf({ etag, lastModified }: HttpFile): Pick<Manifest, "etag" | "lastModified"> {
  return { etag: etag ?? "", lastModified: lastModified ?? "" };
}

/** Whether the server still has what the copy was begun from. */
function isSame(manifest: Manifest, remote: HttpFile): boolean {
  const { etag, lastModified } = tagsOf(remote);
  if (manifest.size !== remote.size) return false;
  return manifest.etag && etag
    ? manifest.etag === etag
    : manifest.etag === etag && manifest.lastModified === lastModified;
}

/** Tries again after cuts and stalls; not after an abort, or an answer that won't change. */
async function retried<T>(
  { signal, tries = 4, pauseMs = 500 }: DownloadOptions,
  attempt: () => Promise<T>,
): Promise<T> {
  for (let left = tries; ; left--) {
    try {
      return await attempt();
    } catch (error) {
      signal?.throwIfAborted();
      if (left <= 1 || !isPassing(error)) throw error;
      await pause(pauseMs * 2 ** (tries - left), signal);
    }
  }
}

function isPassing(error: unknown): boolean {
  if (error instanceof HttpStatusError) return error.status === 429 || error.status >= 500;
  return error instanceof TransferError;
}
