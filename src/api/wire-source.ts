import type { ModelSource } from "../hub/open-source.ts";
import type { ByteSource } from "../formats/byte-source.ts";

/** A source that stays on the page's side; the worker asks for its bytes. */
interface RemoteSource {
  readonly remoteSource: number;
  readonly name: string;
  readonly size: number;
}

/**
 * A model's source as data. Blobs, files and handles are cloned, which shares their bytes; relative
 * addresses are resolved here, since the worker has another base; sources that read by a function
 * stay, and are noted in `kept`.
 */
export function packSource(value: unknown, kept: ByteSource[]): unknown {
  if (typeof value === "string" || value instanceof URL) return absolute(String(value));
  if (Array.isArray(value)) return value.map((item) => packSource(item, kept));
  if (isByteSource(value)) {
    const remote: RemoteSource = {
      remoteSource: kept.length,
      name: value.name,
      size: value.size,
    };
    kept.push(value);
    return remote;
  }
  return value;
}

/** The source again, on the worker's side; `read` asks the page for bytes. */
export function unpackSource(
  value: unknown,
  read: (
    source: number,
    offset: number,
    length: number,
    signal?: AbortSignal,
  ) => Promise<Uint8Array>,
): ModelSource {
  if (Array.isArray(value)) {
    return value.map((item) => unpackSource(item, read)) as unknown as ModelSource;
  }
  if (!isRemoteSource(value)) return value as ModelSource;
  const { remoteSource, name, size } = value;
  return {
    name,
    size,
    read: (offset, length, signal) => read(remoteSource, offset, length, signal),
  };
}

function absolute(address: string): string {
  const { document, location } = globalThis as Partial<typeof globalThis>;
  const base = document?.baseURI ?? location?.href;
  // What is no address is refused by whoever opens it.
  return URL.canParse(address, base) ? new URL(address, base).href : address;
}

function isByteSource(value: unknown): value is ByteSource {
  return typeof (value as Partial<ByteSource> | undefined)?.read === "function";
}

function isRemoteSource(value: unknown): value is RemoteSource {
  return typeof (value as Partial<RemoteSource> | undefined)?.remoteSource === "number";
}
