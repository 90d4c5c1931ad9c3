/**
 * The bitmap of seen tokens that the repetition penalty reads: bit `id % 32` of word `id / 32`. The
 * GPU adds the tokens that it chooses.
 */
export function seenBitmap(
  tokenIds: Iterable<number>,
  vocabSize: number,
): Uint32Array<ArrayBuffer> {
  const words = new Uint32Array(Math.ceil(vocabSize / 32));
  for (const id of tokenIds) words[id >>> 5] = (words[id >>> 5] as number) | (1 << (id & 31));
  return words;
}
