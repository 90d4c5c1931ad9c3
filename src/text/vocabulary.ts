import { ModelFormatError, UnsupportedModelError } from "../errors.ts";
import {
  getBool,
  getNumbers,
  getString,
  getStrings,
  getUint,
  type MetadataFile,
} from "../formats/metadata.ts";
import { quote } from "../formats/quote.ts";
import { findKnownTokens } from "./end-tokens.ts";
import { findPreTokenizer, type PreTokenizer } from "./pre-tokenizers.ts";

/** What a token is for; the numbers of `tokenizer.ggml.token_type`. */
export const TokenKind = {
  normal: 1,
  unknown: 2,
  control: 3,
  userDefined: 4,
  unused: 5,
  byte: 6,
} as const;

/** Whether tokens of this kind steer the model and stand for no text. */
export function isControlKind(kind: number | undefined): boolean {
  return kind === TokenKind.control || kind === TokenKind.unknown;
}

/** A byte-level BPE vocabulary, checked, whatever kind of file described it. */
export interface Vocabulary {
  readonly tokens: readonly string[];
  /** `TokenKind` of each token, with the corrections of llama.cpp. */
  readonly kinds: Uint8Array;
  /** Pairs to merge, in order of rank; the result of each is a token, and no control token. */
  readonly merges: [string, string][];
  readonly preTokenizer: PreTokenizer;
  readonly bosTokenId: number | undefined;
  readonly eosTokenId: number | undefined;
  /** All ids that end an answer. */
  readonly endTokenIds: ReadonlySet<number>;
  readonly addBos: boolean;
  /** Text is brought to this form of Unicode before anything else. */
  readonly normalForm?: "NFC";
}

/**
 * Reads the vocabulary from a GGUF file's metadata.
 *
 * @throws UnsupportedModelError for another tokenizer than byte-level BPE, or a pre-tokenizer that isn't known;
 *   ModelFormatError where keys are missing or don't fit together.
 */
export function readVocabulary(file: MetadataFile): Vocabulary {
  const model = getString(file, "tokenizer.ggml.model");
  if (model !== "gpt2") {
    throw new UnsupportedModelError(`${file.name}: tokenizer ${quote(model)}`, [
      "gpt2 (byte-level BPE)",
    ]);
  }
  const preTokenizer = findPreTokenizer(getString(file, "tokenizer.ggml.pre"), file.name);
  const tokens = getStrings(file, "tokenizer.ggml.tokens");
  const idOf = indexTokens(file, tokens);
  const namedId = (name: string) => readTokenId(file, name, tokens.length);
  const known = findKnownTokens(idOf, namedId);
  const kinds = readKinds(file, tokens.length);
  for (const id of known.controls) kinds[id] = TokenKind.control;
  const addBos = getBool(file, "tokenizer.ggml.add_bos_token", preTokenizer.addBos);
  const bosTokenId = namedId("bos");
  if (addBos && bosTokenId === undefined) {
    throw new ModelFormatError(
      file.name,
      `metadata "tokenizer.ggml.bos_token_id"`,
      "the token that prompts start with",
      "nothing",
    );
  }
  return {
    tokens,
    kinds,
    merges: readMerges(file, idOf, kinds),
    preTokenizer,
    bosTokenId,
    eosTokenId: namedId("eos"),
    endTokenIds: known.ends,
    addBos,
  };
}

function indexTokens(file: MetadataFile, tokens: readonly string[]): Map<string, number> {
  const idOf = new Map<string, number>();
  for (const [id, token] of tokens.entries()) {
    if (token === "") continue;
    const earlier = idOf.get(token);
    if (earlier !== undefined) {
      const got = `${quote(token)} as ${earlier} and ${id}`;
      throw new ModelFormatError(
        file.name,
        `metadata "tokenizer.ggml.tokens"`,
        "each token once",
        got,
      );
    }
    idOf.set(token, id);
  }
  return idOf;
}

function readKinds(file: MetadataFile, count: number): Uint8Array {
  const key = "tokenizer.ggml.token_type";
  const kinds = getNumbers(file, key, undefined);
  if (kinds === undefined) return new Uint8Array(count).fill(TokenKind.normal);
  if (kinds.length < count) {
    const expected = `${count} entries, one per token`;
    throw new ModelFormatError(file.name, `metadata "${key}"`, expected, String(kinds.length));
  }
  return Uint8Array.from(kinds.subarray(0, count));
}

function readTokenId(file: MetadataFile, name: string, count: number): number | undefined {
  const key = `tokenizer.ggml.${name}_token_id`;
  const id = getUint(file, key, undefined);
  if (id === undefined || id < count) return id;
  throw new ModelFormatError(file.name, `metadata "${key}"`, `an id under ${count}`, String(id));
}

/** Merges that would write a control token are dropped: text is data, however its letters fall together. */
function readMerges(
  file: MetadataFile,
  idOf: ReadonlyMap<string, number>,
  kinds: Uint8Array,
): [string, string][] {
  const merges: [string, string][] = [];
  for (const [rank, merge] of getStrings(file, "tokenizer.ggml.merges").entries()) {
    const space = merge.indexOf(" ", 1);
    const pair: [string, string] = [merge.slice(0, space), merge.slice(space + 1)];
    const id = space < 0 ? undefined : idOf.get(pair[0] + pair[1]);
    if (id === undefined) {
      const field = `metadata "tokenizer.ggml.merges" ${rank}`;
      throw new ModelFormatError(file.name, field, "two parts of a token", quote(merge));
    }
    if (!isControlKind(kinds[id])) merges.push(pair);
  }
  return merges;
}
