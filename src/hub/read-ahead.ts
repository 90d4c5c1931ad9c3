import { assertRange, type ByteSource } from "../formats/byte-source.ts";

/** What the last request brought. */
interface Window {
  readonly start: number;
  readonly bytes: Uint8Array;
}

/**
 * Serves small neighbouring reads of a slow source from one larger read, so that the tensors of a file, read in file
 * order, cost one request per `windowBytes`. Reads are done one after the other.
 */
export function readAhead(source: ByteSource, windowBytes: number): ByteSource {
  let window: Window = { start: 0, bytes: new Uint8Array(0) };
  let last: Promise<unknown> = Promise.resolve();

  async function readNow(offset: number, length: number, signal?: AbortSignal) {
    signal?.throwIfAborted();
    const at = offset - window.start;
    const inside = at >= 0 && at <= window.bytes.length;
    const head = inside ? window.bytes.subarray(at, at + length) : window.bytes.subarray(0, 0);
    if (head.length === length) return head;
    const start = offset + head.length;
    const missing = length - head.length;
    const bytes = await source.read(
      start,
      Math.min(Math.max(missing, windowBytes), source.size - start),
      signal,
    );
    window = { start, bytes };
    if (head.length === 0) return bytes.subarray(0, length);
    const joined = new Uint8Array(length);
    joined.set(head);
    joined.set(bytes.subarray(0, missing), head.length);
    return joined;
  }

  return {
    name: source.name,
    size: source.size,
    async read(offset, length, signal) {
      assertRange(source, offset, length);
      // The one before may have failed; that is its caller's business.
      const result = last.then(() => readNow(offset, length, signal));
      last = result.catch(() => undefined);
      return result;
    },
  };
}
