import { type CacheImage, type HeadExtent, layerImageBytes } from "../cache/cache-image.ts";
import { queryRingBytes } from "../cache/layout.ts";
import { SessionFormatError } from "../errors.ts";
import { sha256, toHex } from "../formats/sha256.ts";
import {
  type SessionHeader,
  type SessionOwner,
  readHeader,
  writeHeader,
} from "./session-header.ts";

/*
 * A saved session is a file of this form, all numbers little-endian:
 *
 *   bytes 0–7     "ZIGSESSN"
 *   bytes 8–11    u32: version of the format
 *   bytes 12–15   u32: bytes of the header
 *   bytes 16–47   SHA-256 of the header
 *   then          the header: JSON (session-header.ts), with the SHA-256 of every part that follows
 *   then          the parts: token ids (u32), the prompt's logits (f32) or nothing, the window queries (f32) or
 *                 nothing, and the rows of each layer (cache-image.ts)
 */

const MAGIC = "ZIGSESSN";
const PRELUDE_BYTES = 48;
const MAX_HEADER_BYTES = 64 * 1024 * 1024;

/** Any change of what stands in a file is another version. */
export const SESSION_VERSION = 1;

/** A conversation to be kept, or one that was. */
export interface SavedSession {
  /** Tokens that the cache has seen, in order. */
  readonly seen: Uint32Array<ArrayBuffer>;
  /** Tokens of the answer that it has not seen yet. */
  readonly unread: readonly number[];
  /** f32, of the last token seen, where another answer to it may be wanted. */
  readonly logits: Uint8Array<ArrayBuffer> | undefined;
  readonly image: CacheImage;
  /** What the app wrote to it. */
  readonly note: string;
}

/**
 * Write a session down. Its rows are read a layer at a time, and handed to the Blob at once.
 * @throws what reading them throws; the signal's reason when aborted.
 */
export async function writeSession(
  owner: SessionOwner,
  session: SavedSession,
  signal?: AbortSignal,
): Promise<Blob> {
  const { seen, unread, logits, image, note } = session;
  const parts: Blob[] = [];
  const hashes: string[] = [];
  const add = async (bytes: Uint8Array<ArrayBuffer>): Promise<void> => {
    signal?.throwIfAborted();
    hashes.push(await sha256(bytes));
    parts.push(new Blob([bytes]));
  };
  await add(new Uint8Array(seen.buffer, seen.byteOffset, seen.byteLength));
  await add(logits ?? new Uint8Array());
  await add(await image.queries());
  for (let layer = 0; layer < owner.shape.numLayers; layer++) await add(await image.layer(layer));
  const { state, heads } = image;
  const header = { state, heads, unread, note, hasLogits: logits !== undefined, hashes };
  const text = new TextEncoder().encode(writeHeader(owner, header));
  const prelude = new Uint8Array(PRELUDE_BYTES);
  const view = new DataView(prelude.buffer);
  prelude.set(new TextEncoder().encode(MAGIC));
  view.setUint32(8, SESSION_VERSION, true);
  view.setUint32(12, text.length, true);
  prelude.set(hexBytes(await sha256(text)), 16);
  return new Blob([prelude, text, ...parts], { type: "application/octet-stream" });
}

/**
 * Read a session and check all of it: that no byte has changed, that it is of the owner's model and cache, and
 * that its numbers hold together. The rows are read again, a layer at a time, when they are wanted.
 * @throws SessionFormatError; the signal's reason when aborted.
 */
export async function readSession(
  owner: SessionOwner,
  blob: Blob,
  signal?: AbortSignal,
): Promise<SavedSession> {
  const read = async (start: number, bytes: number): Promise<Uint8Array<ArrayBuffer>> => {
    try {
      return new Uint8Array(await blob.slice(start, start + bytes).arrayBuffer());
    } catch (cause) {
      throw new SessionFormatError("the file", "readable", String(cause), { cause });
    }
  };
  const prelude = await read(0, PRELUDE_BYTES);
  const headerBytes = checkPrelude(prelude, blob.size);
  const text = await read(PRELUDE_BYTES, headerBytes);
  await checkHash("the header", text, toHex(prelude.subarray(16)));
  const header = readHeader(owner, text);
  const sizes = partBytes(owner, header);
  const starts: number[] = [];
  const end = sizes.reduce((at, bytes) => {
    starts.push(at);
    return at + bytes;
  }, PRELUDE_BYTES + headerBytes);
  check("its size", `${end} bytes`, `${blob.size} bytes`);
  const part = (index: number): Promise<Uint8Array<ArrayBuffer>> =>
    read(starts[index] as number, sizes[index] as number);
  let [seen, logits] = [new Uint32Array(), new Uint8Array()];
  for (const index of sizes.keys()) {
    const bytes = await part(index);
    await checkHash(`part ${index}`, bytes, header.hashes[index] as string);
    signal?.throwIfAborted();
    if (index === 0) seen = new Uint32Array(bytes.buffer);
    if (index === 1) logits = bytes;
    if (index > 2 && owner.hasPositions) checkPositions(owner, header, index - 3, bytes);
  }
  checkTokens([...header.unread], owner.vocabSize);
  checkTokens(seen, owner.vocabSize);
  const { state, heads, unread, note, hasLogits } = header;
  const image = { state, heads, queries: () => part(2), layer: (layer: number) => part(3 + layer) };
  return { seen, unread, logits: hasLogits ? logits : undefined, image, note };
}

/** Bytes of each part, as the header has it. */
function partBytes(owner: SessionOwner, { state, heads, hasLogits }: SessionHeader): number[] {
  const { shape, windowSize, hasPositions, hasQueries, vocabSize } = owner;
  const layers = Array.from({ length: shape.numLayers }, (_, layer) =>
    layerImageBytes(shape, hasPositions, headsOf(owner, heads, layer)),
  );
  const logits = hasLogits ? Math.ceil(vocabSize / 4) * 16 : 0;
  return [4 * state.tokens, logits, hasQueries ? queryRingBytes(shape, windowSize) : 0, ...layers];
}

function checkPrelude(prelude: Uint8Array<ArrayBuffer>, size: number): number {
  const magic = new TextDecoder("latin1").decode(prelude.subarray(0, 8));
  if (prelude.length < PRELUDE_BYTES || magic !== MAGIC) {
    throw new SessionFormatError("the file", "a saved session", "something else");
  }
  const view = new DataView(prelude.buffer);
  check("its version", String(SESSION_VERSION), String(view.getUint32(8, true)));
  const headerBytes = view.getUint32(12, true);
  const most = Math.min(MAX_HEADER_BYTES, size - PRELUDE_BYTES);
  if (headerBytes > most) {
    throw new SessionFormatError("bytes of its header", `at most ${most}`, String(headerBytes));
  }
  return headerBytes;
}

/** Positions go up, none is beyond the text, and from `wholeFrom` on none is missing. */
function checkPositions(
  owner: SessionOwner,
  { state: { tokens, wholeFrom }, heads }: SessionHeader,
  layer: number,
  bytes: Uint8Array<ArrayBuffer>,
): void {
  const extents = headsOf(owner, heads, layer);
  const rows = extents.reduce((sum, [length]) => sum + length, 0);
  const all = new Uint32Array(bytes.buffer, bytes.byteLength - 4 * rows, rows);
  let at = 0;
  extents.forEach(([length], head) => {
    const positions = all.subarray(at, (at += length));
    const isUp = positions.every((position, i) => i === 0 || position > (positions[i - 1] ?? 0));
    const whole = tokens - wholeFrom;
    const isWhole = whole === 0 || positions[length - whole] === wholeFrom;
    if (isUp && isWhole && (length === 0 || (positions[length - 1] as number) < tokens)) return;
    const expected = `ascending below ${tokens}, all from ${wholeFrom} on`;
    throw new SessionFormatError(`positions of layer ${layer}, head ${head}`, expected, "others");
  });
}

function headsOf(
  { shape: { numKvHeads } }: SessionOwner,
  heads: readonly HeadExtent[],
  layer: number,
): readonly HeadExtent[] {
  return heads.slice(layer * numKvHeads, (layer + 1) * numKvHeads);
}

function checkTokens(ids: Uint32Array | readonly number[], vocabSize: number): void {
  const wrong = ids.find((id) => id >= vocabSize);
  if (wrong !== undefined) check("its token ids", `below ${vocabSize}`, String(wrong));
}

async function checkHash(
  what: string,
  bytes: Uint8Array<ArrayBuffer>,
  hash: string,
): Promise<void> {
  check(`the SHA-256 of ${what}`, hash, await sha256(bytes));
}

function check(field: string, expected: string, got: string): void {
  if (expected !== got) throw new SessionFormatError(field, expected, got);
}

function hexBytes(text: string): Uint8Array {
  return Uint8Array.from(text.match(/../g) ?? [], (pair) => parseInt(pair, 16));
}
