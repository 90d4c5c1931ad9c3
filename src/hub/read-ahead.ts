import { assertRange, type ByteSource } from "../formats/byte-source.ts";

/**
 * Loading follows the file in two places at most (gate and up projections are read in turn), and a read may cross
 * into a next block: three blocks are enough to fetch nothing twice on the way.
 */
const KEPT_BLOCKS = 3;

/**
 * Serves a slow source from aligned blocks of `blockBytes`, so that small neighbouring reads share one request. The
 * last few blocks are kept, in the same memory throughout; reads are done one after the other.
 */
export function readAhead(source: ByteSource, blockBytes: number): ByteSource {
  // A map remembers the order of insertion: the block that was used last is the last one.
  const blocks = new Map<number, Uint8Array>();
  let last: Promise<unknown> = Promise.resolve();

  async function blockAt(index: number, signal: AbortSignal | undefined): Promise<Uint8Array> {
    const start = index * blockBytes;
    const block = blocks.get(index) ?? (await fetchBlock(start, signal));
    blocks.delete(index);
    blocks.set(index, block);
    return block;
  }

  async function fetchBlock(start: number, signal: AbortSignal | undefined): Promise<Uint8Array> {
    const length = Math.min(blockBytes, source.size - start);
    return source.read(start, length, signal, freeMemory());
  }

  /** Memory for one more block: that of the block not used for longest, once there are enough. */
  function freeMemory(): Uint8Array {
    for (const [oldest, block] of blocks) {
      if (blocks.size < KEPT_BLOCKS) break;
      blocks.delete(oldest);
      if (block.length === blockBytes) return block;
    }
    return new Uint8Array(Math.min(blockBytes, source.size));
  }

  async function readNow(
    offset: number,
    length: number,
    signal: AbortSignal | undefined,
    into: Uint8Array,
  ): Promise<Uint8Array> {
    signal?.throwIfAborted();
    for (let filled = 0; filled < length;) {
      const index = Math.floor((offset + filled) / blockBytes);
      const block = await blockAt(index, signal);
      const from = offset + filled - index * blockBytes;
      const part = block.subarray(from, from + length - filled);
      into.set(part, filled);
      filled += part.length;
    }
    return into.subarray(0, length);
  }

  return {
    name: source.name,
    size: source.size,
    async read(offset, length, signal, into) {
      assertRange(source, offset, length);
      const target = into ?? new Uint8Array(length);
      // The one before may have failed; that is its caller's business.
      const result = last.then(() => readNow(offset, length, signal, target));
      last = result.catch(() => undefined);
      return result;
    },
  };
}
