import { UnsupportedModelError } from "../errors.ts";

/** How a vocabulary wants text cut into words before its merges run; merges never cross a word. */
export interface PreTokenizer {
  /**
   * Splits, one after another, each within the pieces of the one before. Every pattern matches all of any text, so
   * its matches are the pieces.
   */
  readonly splits: readonly RegExp[];
  /** A word that is a token as it stands is taken whole, without its merges. */
  readonly ignoreMerges: boolean;
  /** Whether prompts start with the BOS token where the file doesn't say (`tokenizer.ggml.add_bos_token`). */
  readonly addBos: boolean;
}

// White space is \p{White_Space} as in llama.cpp and in Rust: JavaScript's \s lacks U+0085 and has U+FEFF too many.
// Case-blind contractions are spelled out: with the flags `iu`, "s" would also match U+017F.
const GPT2 =
  /'(?:s|t|re|ve|m|ll|d)| ?\p{L}+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{N}]+|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+/gu;
const QWEN2 =
  /'(?:[sS]|[tT]|[rR][eE]|[vV][eE]|[mM]|[lL][lL]|[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\p{White_Space}\p{L}\p{N}]+[\r\n]*|\p{White_Space}*[\r\n]+|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+/gu;
const LLAMA3 =
  /'(?:[sS]|[tT]|[rR][eE]|[vV][eE]|[mM]|[lL][lL]|[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\p{White_Space}\p{L}\p{N}]+[\r\n]*|\p{White_Space}*[\r\n]+|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+/gu;
const SINGLE_DIGITS = /\p{N}|\P{N}+/gu;
const PUNCTUATION = /[\p{P}$+<=>^~|]+|[^\p{P}$+<=>^~|]+/gu;
const NUMBERS = /\p{N}+|\P{N}+/gu;
const DIGIT_TRIPLES = /[0-9]{3}|(?:(?![0-9]{3})[^])+/gu;

/** The splits that a `tokenizer.json` can ask for, by name. */
export const SPLITS: Readonly<
  Record<"gpt2" | "qwen2" | "llama3" | "singleDigits" | "numbers", RegExp>
> = {
  gpt2: GPT2,
  qwen2: QWEN2,
  llama3: LLAMA3,
  singleDigits: SINGLE_DIGITS,
  numbers: NUMBERS,
};

const gpt2: PreTokenizer = { splits: [GPT2], ignoreMerges: false, addBos: false };
const smollm: PreTokenizer = { ...gpt2, splits: [SINGLE_DIGITS, GPT2] };
const qwen2: PreTokenizer = { ...gpt2, splits: [QWEN2] };
const llama3: PreTokenizer = { splits: [LLAMA3], ignoreMerges: true, addBos: true };
const plain: PreTokenizer = { ...gpt2, splits: [PUNCTUATION, GPT2, NUMBERS, DIGIT_TRIPLES] };

/**
 * Values of `tokenizer.ggml.pre`, each as llama.cpp treats it (test/golden/make_tokens.py asks llama.cpp itself).
 * A new one is a line here and one in that script.
 */
const PRE_TOKENIZERS: ReadonlyMap<string, PreTokenizer> = new Map([
  ["default", plain],
  ["gpt-2", gpt2],
  ["smollm", smollm],
  ["refact", smollm],
  ["starcoder", smollm],
  ["qwen2", qwen2],
  ["deepseek-r1-qwen", qwen2],
  ["llama-bpe", llama3],
  ["llama3", llama3],
  ["llama-v3", llama3],
  ["falcon3", llama3],
]);

/**
 * The pre-tokenizer of a name in `tokenizer.ggml.pre`.
 * @throws UnsupportedModelError for a name that isn't in the table: a near miss would change ids in silence.
 */
export function findPreTokenizer(name: string, file: string): PreTokenizer {
  const found = PRE_TOKENIZERS.get(name);
  if (found) return found;
  const what = `${file}: pre-tokenizer ${JSON.stringify(name.slice(0, 80))}`;
  throw new UnsupportedModelError(what, [...PRE_TOKENIZERS.keys()]);
}

/** Cuts a text into the words that merges run in; joined they give the text again. */
export function splitWords(text: string, preTokenizer: PreTokenizer): string[] {
  let pieces = [text];
  for (const pattern of preTokenizer.splits) {
    pieces = pieces.flatMap((piece) => piece.match(pattern) ?? []);
  }
  return pieces;
}
