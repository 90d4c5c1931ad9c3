import { ModelFormatError, UnsupportedModelError } from "../errors.ts";
import {
  jsonBool,
  type JsonFields,
  jsonFields,
  jsonList,
  jsonString,
  jsonUint,
} from "../formats/json-fields.ts";
import { describeJson, isJsonObject } from "../formats/json-file.ts";
import { quote } from "../formats/quote.ts";
import { findKnownTokens } from "./end-tokens.ts";
import { hfSplits } from "./hf-pre-tokenizer.ts";
import { isControlKind, TokenKind, type Vocabulary } from "./vocabulary.ts";

/** The files that describe a tokenizer; an object without keys stands for one that isn't there. */
export interface HfTokenizerFiles {
  /** `tokenizer.json` */
  readonly tokenizer: JsonFields;
  /** `tokenizer_config.json` */
  readonly tokenizerConfig: JsonFields;
  /** `generation_config.json` */
  readonly generationConfig: JsonFields;
  /** `config.json` */
  readonly config: JsonFields;
}

/**
 * Reads a vocabulary as Hugging Face's files describe it: byte-level BPE only.
 *
 * @param vocabSize rows of the model's embedding; ids beyond the tokenizer's own become unused tokens.
 * @throws UnsupportedModelError for another tokenizer, or a step that isn't built in; ModelFormatError where the files
 *   contradict themselves.
 */
export function readHfVocabulary(files: HfTokenizerFiles, vocabSize: number): Vocabulary {
  const { tokenizer, tokenizerConfig } = files;
  const model = jsonFields(tokenizer, "model");
  checkModel(model);
  const { tokens, kinds } = readTokens(tokenizer, model, vocabSize);
  const idOf = new Map<string, number>();
  tokens.forEach((token, id) => token !== "" && idOf.set(token, id));
  const named = (key: string): number | undefined => namedToken(tokenizerConfig, key, idOf);
  const eosTokenId = named("eos_token");
  const known = findKnownTokens(idOf, (name) => (name === "eos" ? eosTokenId : undefined));
  for (const id of known.controls) kinds[id] = TokenKind.control;
  const prefix = readPrefix(jsonFields(tokenizer, "post_processor", undefined), idOf);
  const bosTokenId = prefix ?? named("bos_token");
  const normalForm = readNormalForm(jsonFields(tokenizer, "normalizer", undefined));
  return {
    tokens,
    kinds,
    merges: readMerges(model, idOf, kinds),
    preTokenizer: {
      splits: hfSplits(jsonFields(tokenizer, "pre_tokenizer")),
      ignoreMerges: jsonBool(model, "ignore_merges", false),
      addBos: prefix !== undefined,
    },
    bosTokenId,
    eosTokenId,
    endTokenIds: new Set([...known.ends, ...endIds(files, tokens.length)]),
    addBos: prefix !== undefined,
    ...(normalForm && { normalForm }),
  };
}

function checkModel(model: JsonFields): void {
  const type = jsonString(model, "type", "BPE");
  const refuse = (what: string): never => {
    throw new UnsupportedModelError(`${model.file}: ${what}`, ["byte-level BPE"]);
  };
  if (type !== "BPE") refuse(`tokenizer ${quote(type)}`);
  if (jsonBool(model, "byte_fallback", false)) refuse("BPE with bytes for unknown characters");
  for (const key of ["continuing_subword_prefix", "end_of_word_suffix"]) {
    if (jsonString(model, key, "") !== "") refuse(`BPE with a ${key}`);
  }
}

/** All tokens by id, from the model's vocabulary and the added ones. */
function readTokens(
  tokenizer: JsonFields,
  model: JsonFields,
  vocabSize: number,
): { tokens: string[]; kinds: Uint8Array } {
  const { file } = tokenizer;
  const tokens = Array.from({ length: vocabSize }, () => "");
  const kinds = new Uint8Array(tokens.length).fill(TokenKind.unused);
  const put = (token: string, id: unknown, kind: number): void => {
    const field = `id of token ${quote(token)}`;
    if (!Number.isSafeInteger(id) || (id as number) < 0 || (id as number) >= tokens.length) {
      throw new ModelFormatError(file, field, `under ${tokens.length}`, describeJson(id));
    }
    const other = tokens[id as number] as string;
    if (other !== "" && other !== token) {
      throw new ModelFormatError(file, field, "its own", `that of ${quote(other)}`);
    }
    tokens[id as number] = token;
    kinds[id as number] = kind;
  };
  const vocab = jsonFields(model, "vocab").object;
  for (const [token, id] of Object.entries(vocab)) {
    if (token !== "") put(token, id, TokenKind.normal);
  }
  for (const entry of jsonList(tokenizer, "added_tokens", [])) {
    if (!isJsonObject(entry)) {
      throw new ModelFormatError(file, "added_tokens", "objects", describeJson(entry));
    }
    const added: JsonFields = { file, object: entry };
    const content = jsonString(added, "content");
    const own = Object.hasOwn(vocab, content) ? vocab[content] : undefined;
    if (content === "" || (own !== undefined && own !== entry["id"])) {
      throw new ModelFormatError(file, "added_tokens", "tokens with one id each", quote(content));
    }
    for (const flag of ["lstrip", "rstrip", "single_word"]) {
      if (!jsonBool(added, flag, false)) continue;
      throw new UnsupportedModelError(`${file}: token ${quote(content)} with ${flag}`, [
        "tokens that stand as they are",
      ]);
    }
    const isSpecial = jsonBool(added, "special", false);
    put(content, entry["id"], isSpecial ? TokenKind.control : TokenKind.userDefined);
  }
  return { tokens, kinds };
}

/** Merges are "a b" or ["a", "b"]; those that would write a control token are dropped, as in GGUF files. */
function readMerges(
  model: JsonFields,
  idOf: ReadonlyMap<string, number>,
  kinds: Uint8Array,
): [string, string][] {
  const merges: [string, string][] = [];
  for (const [rank, merge] of jsonList(model, "merges").entries()) {
    const [first, second] = pairOf(merge);
    const id = first && second ? idOf.get(first + second) : undefined;
    if (id === undefined) {
      const field = `merge ${rank}`;
      throw new ModelFormatError(model.file, field, "two parts of a token", describeJson(merge));
    }
    if (!isControlKind(kinds[id])) merges.push([first as string, second as string]);
  }
  return merges;
}

function pairOf(merge: unknown): readonly (string | undefined)[] {
  if (typeof merge === "string") {
    const space = merge.indexOf(" ", 1);
    return space < 0 ? [] : [merge.slice(0, space), merge.slice(space + 1)];
  }
  const isPair = Array.isArray(merge) && merge.length === 2;
  return isPair && merge.every((part) => typeof part === "string") ? (merge as string[]) : [];
}

/** A token that `tokenizer_config.json` names, as a string or an object; undefined where the vocabulary lacks it. */
function namedToken(
  config: JsonFields,
  key: string,
  idOf: ReadonlyMap<string, number>,
): number | undefined {
  const value = config.object[key];
  const text = isJsonObject(value) ? value["content"] : value;
  return typeof text === "string" ? idOf.get(text) : undefined;
}

/** The token that the post-processor puts before a text, if it does; a token after it is refused. */
function readPrefix(
  processor: JsonFields | undefined,
  idOf: ReadonlyMap<string, number>,
): number | undefined {
  if (processor === undefined) return undefined;
  const type = jsonString(processor, "type");
  const refuse = (what: string): never => {
    throw new UnsupportedModelError(`${processor.file}: ${what}`, ["one token before a text"]);
  };
  if (type === "ByteLevel") return undefined;
  if (type === "Sequence") {
    const found = jsonList(processor, "processors").map((step) =>
      isJsonObject(step)
        ? readPrefix({ file: processor.file, object: step }, idOf)
        : refuse(`post-processor ${describeJson(step)}`),
    );
    return found.find((id) => id !== undefined);
  }
  if (type !== "TemplateProcessing") return refuse(`post-processor ${quote(type)}`);
  const texts = jsonList(processor, "single").map((part) => {
    const special = isJsonObject(part) ? part["SpecialToken"] : undefined;
    return isJsonObject(special) ? special["id"] : undefined;
  });
  if (texts.length === 1 && texts[0] === undefined) return undefined;
  const [first, ...rest] = texts;
  const id = typeof first === "string" ? idOf.get(first) : undefined;
  if (id === undefined || rest.length !== 1 || rest[0] !== undefined) {
    return refuse("a template of other tokens around a text");
  }
  return id;
}

function readNormalForm(normalizer: JsonFields | undefined): "NFC" | undefined {
  if (normalizer === undefined) return undefined;
  const type = jsonString(normalizer, "type");
  if (type === "Sequence" && jsonList(normalizer, "normalizers").length === 0) return undefined;
  if (type === "NFC") return "NFC";
  throw new UnsupportedModelError(`${normalizer.file}: normalizer ${quote(type)}`, ["none", "NFC"]);
}

/** The ids that `generation_config.json` and `config.json` name, one or several each. */
function endIds({ generationConfig, config }: HfTokenizerFiles, count: number): number[] {
  return [generationConfig, config].flatMap((json) => {
    const value = json.object["eos_token_id"];
    const ids = Array.isArray(value) ? value : [value ?? undefined];
    return ids
      .filter((id) => id !== undefined)
      .map((id) => {
        const checked = jsonUint({ file: json.file, object: { eos_token_id: id } }, "eos_token_id");
        if (checked < count) return checked;
        const expected = `under ${count}`;
        throw new ModelFormatError(json.file, '"eos_token_id"', expected, String(checked));
      });
  });
}
