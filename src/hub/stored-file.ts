import { sha256 as incrementalSha256 } from "@noble/hashes/sha2.js";
import { ModelFormatError, SourceError } from "../errors.ts";
import { assertRange, type ByteSource } from "../formats/byte-source.ts";
import { parseJsonObject } from "../formats/json-file.ts";
import { jsonString, jsonUint } from "../formats/json-fields.ts";
import { sha256, toHex } from "../formats/sha256.ts";
import { type DownloadProgress, startStage } from "./progress.ts";
import type { StoreBackend } from "./store-backend.ts";

/** What a stored file is a copy of. Its pieces are files of their own, named by index and SHA-256. */
export interface Manifest {
  readonly url: string;
  readonly size: number;
  readonly pieceBytes: number;
  /** Of the server's answer; empty where it has none. */
  readonly etag: string;
  readonly lastModified: string;
  /** Of the whole file, as its hub says; empty where none does, undefined where none was asked. */
  readonly sha256: string | undefined;
}

/** Says what the pieces beside it are of. */
export const MANIFEST_FILE = "manifest.json" as const;
const FORMAT = 2;

/** A piece is held whole: this is the most that any ArrayBuffer of ours may have. */
export const MAX_PIECE_BYTES: number = 64 * 1024 * 1024;

const PIECE = /^piece-(\d+)-([0-9a-f]{64})$/;

/** The folder of an address in a store. */
export async function folderOf(url: string): Promise<string> {
  return (await sha256(new TextEncoder().encode(url))).slice(0, 32);
}

/** The manifest of a folder; undefined where there is none, or one that this version can't use. */
export async function readManifest(
  backend: StoreBackend,
  folder: string,
): Promise<Manifest | undefined> {
  const blob = await backend.read(folder, MANIFEST_FILE);
  if (blob === undefined) return undefined;
  try {
    const json = { file: MANIFEST_FILE, object: parseJsonObject(await blob.text(), MANIFEST_FILE) };
    if (jsonUint(json, "format") !== FORMAT) return undefined;
    const pieceBytes = jsonUint(json, "pieceBytes");
    if (pieceBytes === 0 || pieceBytes > MAX_PIECE_BYTES) return undefined;
    return {
      url: jsonString(json, "url"),
      size: jsonUint(json, "size"),
      pieceBytes,
      etag: jsonString(json, "etag"),
      lastModified: jsonString(json, "lastModified"),
      sha256: jsonString(json, "sha256", undefined),
    };
  } catch (error) {
    if (error instanceof ModelFormatError) return undefined;
    throw error;
  }
}

export async function writeManifest(
  backend: StoreBackend,
  folder: string,
  manifest: Manifest,
): Promise<void> {
  const text = JSON.stringify({ format: FORMAT, ...manifest });
  await backend.write(folder, MANIFEST_FILE, new TextEncoder().encode(text));
}

export async function writePiece(
  backend: StoreBackend,
  folder: string,
  index: number,
  bytes: Uint8Array<ArrayBuffer>,
): Promise<string> {
  const name = `piece-${index}-${await sha256(bytes)}`;
  await backend.write(folder, name, bytes);
  return name;
}

export const pieceCount = ({ size, pieceBytes }: Manifest): number => Math.ceil(size / pieceBytes);

export const pieceLength = ({ size, pieceBytes }: Manifest, index: number): number =>
  Math.min(pieceBytes, size - index * pieceBytes);

/** What these pieces hold together. */
export const bytesOf = (manifest: Manifest, pieces: ReadonlyMap<number, string>): number =>
  [...pieces.keys()].reduce((sum, index) => sum + pieceLength(manifest, index), 0);

/** Names of the pieces that are there and as long as they should be, by index. */
export async function findPieces(
  backend: StoreBackend,
  folder: string,
  manifest: Manifest,
): Promise<Map<number, string>> {
  const found = new Map<number, string>();
  for (const [name, bytes] of await backend.files(folder)) {
    const index = Number(PIECE.exec(name)?.[1]);
    if (index < pieceCount(manifest) && bytes === pieceLength(manifest, index)) {
      found.set(index, name);
    }
  }
  return found;
}

/** Whether a piece is what its name says. */
export async function isSound(
  backend: StoreBackend,
  folder: string,
  name: string,
): Promise<boolean> {
  const blob = await backend.read(folder, name);
  if (blob === undefined) return false;
  return (await sha256(new Uint8Array(await blob.arrayBuffer()))) === PIECE.exec(name)?.[2];
}

/** How stored bytes are hashed. */
export interface CheckOptions {
  readonly signal?: AbortSignal | undefined;
  /** Called as bytes are hashed. */
  readonly onProgress?: ((progress: DownloadProgress) => void) | undefined;
}

/** Stands beside pieces that together hash to what the hub says. */
const CHECKED_FILE = "checked";

/**
 * Compare a file, all of whose pieces are there, with its hub's SHA-256, once. One that differs is removed.
 * @throws SourceError
 */
export async function checkWhole(
  backend: StoreBackend,
  folder: string,
  manifest: Manifest,
  source: ByteSource,
  options: CheckOptions,
): Promise<void> {
  const { url, size, pieceBytes, sha256: expected } = manifest;
  if (!expected || (await backend.read(folder, CHECKED_FILE)) !== undefined) return;
  const hash = incrementalSha256.create(); // Web Crypto wants all bytes at once
  const report = startStage(options, { url, stage: "check", totalBytes: size, storedBytes: 0 });
  for (let at = 0; at < size; at += pieceBytes) {
    const length = Math.min(pieceBytes, size - at);
    hash.update(await source.read(at, length, options.signal));
    report(length);
  }
  const actual = toHex(hash.digest());
  if (actual !== expected) {
    await backend.removeFolder(folder);
    const what = `has the SHA-256 ${actual}, and not ${expected} as its hub says`;
    throw new SourceError(url, `${what}; it was deleted: download it again`);
  }
  await backend.write(folder, CHECKED_FILE, new TextEncoder().encode(actual));
}

/** To be called before a piece is written: the whole is another then. */
export const dropCheck = (backend: StoreBackend, folder: string): Promise<void> =>
  backend.removeFile(folder, CHECKED_FILE);

/** Reads a stored file, all of whose pieces are there. */
export function storedSource(
  backend: StoreBackend,
  folder: string,
  manifest: Manifest,
  pieces: ReadonlyMap<number, string>,
): ByteSource {
  const { url, size, pieceBytes } = manifest;
  const readPiece = async (index: number, from: number, to: number): Promise<Uint8Array> => {
    const blob = await backend.read(folder, pieces.get(index) ?? "").catch(() => undefined);
    const bytes = await blob
      ?.slice(from, to)
      .arrayBuffer()
      .catch(() => undefined);
    if (bytes?.byteLength === to - from) return new Uint8Array(bytes);
    throw new SourceError(url, "its stored copy is gone or was cut; download it again");
  };
  const source: ByteSource = {
    name: url,
    size,
    async read(offset, length, signal, into) {
      assertRange(source, offset, length);
      const out = into?.subarray(0, length) ?? new Uint8Array(length);
      for (let filled = 0; filled < length;) {
        signal?.throwIfAborted();
        const index = Math.floor((offset + filled) / pieceBytes);
        const from = offset + filled - index * pieceBytes;
        const to = Math.min(pieceLength(manifest, index), from + length - filled);
        out.set(await readPiece(index, from, to), filled);
        filled += to - from;
      }
      return out;
    },
  };
  return source;
}
