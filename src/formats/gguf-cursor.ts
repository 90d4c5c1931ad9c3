import { ModelFormatError } from "../errors.ts";
import type { ByteSource } from "./byte-source.ts";

/** How much is read at once; most files' metadata takes a few of these. */
const WINDOW_BYTES = 512 * 1024;

/** The whole header (metadata and tensor table) may take no more than this. */
export const MAX_HEADER_BYTES: number = 64 * 1024 * 1024;

/**
 * Reads a source from its start through a small window, little endian. `ensure` brings bytes into the window
 * (asynchronously, checked against the end of the source); the other methods take them out.
 */
export class GgufCursor {
  readonly file: string;
  readonly #source: ByteSource;
  readonly #signal: AbortSignal | undefined;
  readonly #end: number;
  #buffer: Uint8Array = new Uint8Array(0);
  #view: DataView = new DataView(this.#buffer.buffer);
  /** Position of the buffer's first byte in the source. */
  #start = 0;
  /** Next byte to take, and end of the filled part, in the buffer. */
  #at = 0;
  #filled = 0;
  // A token may begin with U+FEFF, which a decoder drops unless told not to.
  readonly #utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

  constructor(source: ByteSource, signal: AbortSignal | undefined) {
    this.file = source.name;
    this.#source = source;
    this.#signal = signal;
    this.#end = Math.min(source.size, MAX_HEADER_BYTES);
  }

  /** Position of the next byte in the source. */
  get position(): number {
    return this.#start + this.#at;
  }

  /** Bytes in the window. */
  get buffered(): number {
    return this.#filled - this.#at;
  }

  /** Throws unless `bytes` more bytes exist (in the source, under the header's limit). */
  assertLeft(bytes: number, field: string): void {
    const left = this.#end - this.position;
    if (bytes <= left) return;
    const limit = this.#end < this.#source.size ? "the header may take" : "the file has";
    throw this.error(
      field,
      `inside the file (${bytes} bytes at ${this.position})`,
      `the end: ${limit} ${this.#end} bytes`,
    );
  }

  /** Makes sure that the window holds the next `bytes` bytes. */
  async ensure(bytes: number, field: string): Promise<void> {
    if (bytes <= this.buffered) return;
    this.assertLeft(bytes, field);
    const start = this.position;
    const kept = this.#buffer.subarray(this.#at, this.#filled);
    const length = Math.min(Math.max(bytes, WINDOW_BYTES), this.#end - start);
    if (this.#buffer.length < length) {
      const grown = new Uint8Array(length);
      grown.set(kept);
      this.#buffer = grown;
      this.#view = new DataView(grown.buffer);
    } else {
      this.#buffer.copyWithin(0, this.#at, this.#filled);
    }
    const fresh = await this.#source.read(start + kept.length, length - kept.length, this.#signal);
    this.#buffer.set(fresh, kept.length);
    this.#start = start;
    this.#at = 0;
    this.#filled = length;
  }

  u8(): number {
    return this.#view.getUint8(this.#advance(1));
  }

  u32(): number {
    return this.#view.getUint32(this.#advance(4), true);
  }

  /** An unsigned 64-bit number that must be exact as a JavaScript number. */
  u64(field: string): number {
    const at = this.#advance(8);
    const value = this.#view.getBigUint64(at, true);
    if (value <= Number.MAX_SAFE_INTEGER) return Number(value);
    throw this.error(field, "under 2^53", String(value));
  }

  /** The next `count` bytes, valid until the next `ensure`. */
  bytes(count: number): Uint8Array {
    const at = this.#advance(count);
    return this.#buffer.subarray(at, at + count);
  }

  /** The next `count` bytes as text. */
  text(count: number, field: string): string {
    const bytes = this.bytes(count);
    try {
      return this.#utf8.decode(bytes);
    } catch {
      throw this.error(field, "UTF-8 text", "bytes that are none");
    }
  }

  /** The next string (length, bytes) if all of it is in the window and under `maxBytes`. */
  bufferedString(maxBytes: number, field: string): string | undefined {
    if (this.buffered < 8 || this.#view.getUint32(this.#at + 4, true) !== 0) return undefined;
    const length = this.#view.getUint32(this.#at, true);
    if (length > maxBytes || length > this.buffered - 8) return undefined;
    this.#at += 8;
    return this.text(length, field);
  }

  error(field: string, expected: string, got: string): ModelFormatError {
    return new ModelFormatError(this.file, field, expected, got);
  }

  #advance(bytes: number): number {
    const at = this.#at;
    if (bytes > this.buffered) throw new Error("bytes were taken that ensure() did not bring");
    this.#at = at + bytes;
    return at;
  }
}
