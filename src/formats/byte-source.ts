import { SourceError } from "../errors.ts";

/**
 * Bytes that can be read by ranges: a file, a Blob, a URL, a buffer.
 *
 * `read` gives exactly `length` bytes or throws a `SourceError` (or the signal's abort reason). What it gives may be
 * a view of memory that the source keeps: don't write to it. It stays valid after later reads.
 */
export interface ByteSource {
  /** What messages call it: a path, an address, a file name. */
  readonly name: string;
  /** Length of the whole, in bytes. */
  readonly size: number;
  /** Bytes `offset` up to `offset + length` of the source. */
  read(offset: number, length: number, signal?: AbortSignal): Promise<Uint8Array>;
}

/** Throws a `SourceError` unless the range lies inside the source. */
export function assertRange(
  source: { readonly name: string; readonly size: number },
  offset: number,
  length: number,
): void {
  const valid = Number.isSafeInteger(offset) && Number.isSafeInteger(length);
  if (valid && offset >= 0 && length >= 0 && offset + length <= source.size) return;
  throw new SourceError(
    source.name,
    `cannot read ${length} bytes at ${offset}: it has ${source.size} bytes`,
  );
}
