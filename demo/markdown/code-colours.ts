import { codeTokens, type CodeToken } from "./code-tokens.ts";
import { paint, type Paint } from "./painted.ts";

/** Longer code stays plain beyond what was coloured until then: nobody writes it, and it would cost. */
const MAX_LENGTH = 20_000;

/** Code is coloured again when it has grown by a quarter, and by so many characters at least. */
const GROWTH = 64;

/** Colours one block of code while it grows. */
export interface CodeColours {
  /** There are so many characters more. */
  grew(by: number): void;
  /** Nothing follows. */
  complete(): void;
}

/**
 * Each character is looked at a few times in all, however long the block gets.
 * @param code holds text nodes and nothing else
 * @param language as it stands at the fence; called when it is known
 */
export function colourCode(code: HTMLElement, language: () => string): CodeColours {
  let length = 0;
  let nextAt = GROWTH;
  let last = Promise.resolve();

  const colour = async (): Promise<void> => {
    if (language() === "" || length > MAX_LENGTH) return;
    const nodes = [...code.childNodes].filter((node) => node instanceof Text);
    const text = nodes.map(({ data }) => data).join("");
    // The code may grow meanwhile, but what it begins with stays.
    paint(code, rangesOf(nodes, await codeTokens(language(), text)));
  };

  return {
    grew(by) {
      length += by;
      if (length < nextAt) return;
      nextAt = length + Math.max(GROWTH, length / 4);
      last = last.then(colour);
    },
    complete() {
      last = last.then(colour);
    },
  };
}

/** @param tokens in order */
function rangesOf(nodes: readonly Text[], tokens: readonly CodeToken[]): Paint[] {
  let index = 0;
  let before = 0;
  const place = (at: number): readonly [Text, number] | undefined => {
    let node = nodes[index];
    while (node !== undefined && at > before + node.length) {
      before += node.length;
      node = nodes[++index];
    }
    return node && [node, at - before];
  };
  return tokens.flatMap(({ kind, start, end }): Paint[] => {
    const [from, to] = [place(start), place(end)];
    if (from === undefined || to === undefined) return [];
    const [startContainer, startOffset] = from;
    const [endContainer, endOffset] = to;
    const range = new StaticRange({ startContainer, startOffset, endContainer, endOffset });
    return [[`code-${kind}`, range]];
  });
}
