import { SourceError } from "../errors.ts";
import { assertRange, type ByteSource } from "../formats/byte-source.ts";
import { openHttpFile, type HttpOptions } from "./http-range.ts";
import { readAhead } from "./read-ahead.ts";

/** A source over bytes in memory; reads are views, nothing is copied. */
export function bufferSource(bytes: Uint8Array | ArrayBuffer, name: string): ByteSource {
  const view = bytes instanceof Uint8Array ? bytes : new Uint8Array(bytes);
  return {
    name,
    size: view.length,
    async read(offset, length, signal) {
      signal?.throwIfAborted();
      assertRange(this, offset, length);
      return view.subarray(offset, offset + length);
    },
  };
}

/**
 * A source over a `Blob` or a picked `File`; only the ranges that are asked for come into memory.
 *
 * `read` throws `SourceError` when the file behind it was changed, moved or may no longer be read.
 */
export function blobSource(blob: Blob, name: string = blobName(blob)): ByteSource {
  return {
    name,
    size: blob.size,
    async read(offset, length, signal) {
      signal?.throwIfAborted();
      assertRange(this, offset, length);
      const bytes = await blob
        .slice(offset, offset + length)
        .arrayBuffer()
        .catch((cause: unknown) => {
          throw new SourceError(
            name,
            `reading ${length} bytes at ${offset} failed (${String(cause)}); choose the file again`,
            { cause },
          );
        });
      signal?.throwIfAborted();
      if (bytes.byteLength !== length) {
        throw new SourceError(
          name,
          `gave ${bytes.byteLength} of ${length} bytes at ${offset}; it was changed: choose it again`,
        );
      }
      return new Uint8Array(bytes);
    },
  };
}

/** A name for messages: the file's own, where it has one. */
function blobName(blob: Blob): string {
  return typeof File !== "undefined" && blob instanceof File && blob.name ? blob.name : "blob";
}

/** Bytes fetched from a URL at once. */
const READ_AHEAD_BYTES = 2 * 1024 * 1024;

/**
 * Opens an address for reading by HTTP range requests. The server must answer ranges (206) and, for another origin,
 * expose `Content-Range` and `ETag`.
 *
 * @param options `signal` ends the opening; `fetch` stands in for the global one; `stallMs` is how long a request may
 *   deliver nothing (30 s).
 * @throws SourceError when it cannot be read, answers without ranges, or changes between two requests.
 */
export async function openUrlSource(
  url: string | URL,
  options: HttpOptions = {},
): Promise<ByteSource> {
  return readAhead(await openHttpFile(String(url), options), READ_AHEAD_BYTES);
}
