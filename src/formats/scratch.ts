import type { ByteSource } from "./byte-source.ts";

/**
 * Memory in which matrices are repacked, kept from one matrix of a source to the next and freed with the source.
 * Fresh arrays for each would live just long enough to reach the old generation, whose garbage a JavaScript engine
 * lets grow to some 64 MB before it looks.
 */
const unused = new WeakMap<ByteSource, ArrayBuffer[]>();

/** Memory of at least `bytes` bytes, with any content. */
export function takeScratch(source: ByteSource, bytes: number): ArrayBuffer {
  const scratch = unused.get(source)?.pop();
  return scratch !== undefined && scratch.byteLength >= bytes ? scratch : new ArrayBuffer(bytes);
}

/** Gives memory from `takeScratch` back, for the source's next matrix. */
export function giveScratch(source: ByteSource, scratch: ArrayBuffer): void {
  const list = unused.get(source);
  if (list === undefined) unused.set(source, [scratch]);
  else list.push(scratch);
}
