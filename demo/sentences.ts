/** Where a sentence ends: after its punctuation and what closes with it, or at the end of a line. */
const SENTENCE_END = /[.!?…]+["'”’)\]*_`]*(?=\s)|[。！？]|\n/g;

/** A line that begins or ends a block of code. */
const FENCE = /^ {0,3}(```|~~~)\s*(\S*)/;

/** Takes an answer as it grows, and gives what can be read out of it. */
export interface SentenceFeed {
  /**
   * The sentences that have become complete since the last call, as they are to be heard.
   * @param source the whole answer so far, Markdown
   * @param isComplete nothing follows: what is left is a sentence too
   */
  take(source: string, isComplete: boolean): string[];
}

/** A feed at the beginning of an answer. */
export function createSentenceFeed(): SentenceFeed {
  let at = 0;
  let isInCode = false;

  /** Where the code ends, or the code's line where there is no end yet. */
  const says = (written: string): string[] => {
    const fence = FENCE.exec(written);
    if (fence !== null) {
      isInCode = !isInCode;
      const language = fence[2] ?? "";
      return isInCode
        ? [language === "" ? "A block of code." : `A block of code: ${language}.`]
        : [];
    }
    const heard = isInCode ? "" : plain(written);
    return heard === "" ? [] : [heard];
  };

  return {
    take(source, isComplete) {
      const sentences: string[] = [];
      SENTENCE_END.lastIndex = at;
      for (let end = SENTENCE_END.exec(source); end !== null; end = SENTENCE_END.exec(source)) {
        const until = end.index + end[0].length;
        // In code, and where a fence begins, only lines count.
        const written = source.slice(at, until);
        const isLine = end[0] === "\n";
        if (!isLine && (isInCode || FENCE.test(written) || isNumber(written))) continue;
        sentences.push(...says(written));
        at = until;
      }
      if (isComplete && at < source.length) {
        sentences.push(...says(source.slice(at)));
        at = source.length;
      }
      return sentences;
    },
  };
}

/** `1.` begins an item of a list: it is heard with its words. */
function isNumber(written: string): boolean {
  return /^\s*\d+\.$/.test(written);
}

/** Without what only marks how it looks. */
function plain(written: string): string {
  return written
    .replace(/^\s*(?:#{1,6}|>|[-*+])\s+/, "")
    .replace(/!?\[([^\]]*)\]\([^)]*\)/g, "$1")
    .replace(/(\*\*|__|~~|`+)/g, "")
    .replace(/(^|\s)[*_](?=\S)|(?<=\S)[*_](?=[\s.,;:!?]|$)/g, "$1")
    .replace(/^[\s|:-]+$/, "")
    .trim();
}
