import { SourceError } from "../errors.ts";

/** Bytes that can be read by ranges: a file, a Blob, a URL, a buffer. */
export interface ByteSource {
  /** What messages call it: a path, an address, a file name. */
  readonly name: string;
  /** Length of the whole, in bytes. */
  readonly size: number;
  /**
   * Gives exactly the bytes `offset` up to `offset + length`, or throws a `SourceError` (or the signal's reason).
   * The result may be a view of memory that the source keeps: don't write to it.
   *
   * @param into memory of at least `length` bytes that the source may put them in (then the result is a view of it):
   *   so that streaming a large file leaves little garbage.
   */
  read(
    offset: number,
    length: number,
    signal?: AbortSignal,
    into?: Uint8Array,
  ): Promise<Uint8Array>;
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
