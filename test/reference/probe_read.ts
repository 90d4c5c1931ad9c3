import type { ReadPattern } from "../../src/gpu/roofline.ts";

/** The sums of `threads` threads over `threads * vec4s` vectors of four words, mod 2^32. */
export function probeRead(
  data: Uint32Array,
  threads: number,
  { vec4s, contiguous }: ReadPattern,
): Uint32Array {
  const sums = new Uint32Array(threads);
  for (let vector = 0; vector < threads * vec4s; vector++) {
    const thread = contiguous ? Math.floor(vector / vec4s) : vector % threads;
    for (let k = 0; k < 4; k++) sums[thread] += data[vector * 4 + k];
  }
  return sums;
}
