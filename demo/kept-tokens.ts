import type { TokensData } from "../src/elements.ts";

/** Which pairs of (layer, KV head) are counted; undefined: all of them. */
export interface KeptFilter {
  readonly layer: number | undefined;
  readonly head: number | undefined;
}

/**
 * The tokens of a text with the number of (layer, KV head) pairs that keep each.
 * @param positions kept: `[layer][KV head]`, as `engine.keptPositions()` gives them
 */
export function keptTokens(
  texts: readonly string[],
  positions: readonly (readonly (readonly number[])[])[],
  { layer, head }: KeptFilter,
  fact: string = "",
): TokensData {
  const lists = positions
    .filter((_, l) => layer === undefined || l === layer)
    .flatMap((heads) => heads.filter((_list, h) => head === undefined || h === head));
  const kept = new Uint32Array(texts.length);
  for (const list of lists) {
    for (const position of list) {
      if (position < kept.length) kept[position] = (kept[position] as number) + 1;
    }
  }
  const marked = findSpan(texts, fact);
  return {
    tokens: texts.map((text, at) => ({ text, kept: kept[at] as number })),
    of: lists.length,
    ...(marked === undefined ? {} : { marked: [marked] }),
  };
}

/** The tokens that spell a text: from index, up to but not including index. */
export function findSpan(
  texts: readonly string[],
  wanted: string,
): readonly [from: number, to: number] | undefined {
  const start = wanted === "" ? -1 : texts.join("").indexOf(wanted);
  if (start < 0) return undefined;
  let at = 0;
  let from: number | undefined;
  for (const [index, text] of texts.entries()) {
    if (from === undefined && at + text.length > start) from = index;
    at += text.length;
    if (from !== undefined && at >= start + wanted.length) return [from, index + 1];
  }
  return undefined;
}

/** Share of all pairs that keep the tokens of a span, mean over them. */
export function shareKept({ tokens, of, marked }: TokensData): number | undefined {
  const span = marked?.[0];
  if (span === undefined || of === 0) return undefined;
  const inSpan = tokens.slice(span[0], span[1]);
  return inSpan.reduce((sum, { kept }) => sum + kept, 0) / (inSpan.length * of);
}
