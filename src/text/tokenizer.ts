import { BPE } from "@huggingface/tokenizers";
import type { GgufValue } from "../formats/gguf.ts";
import { getString } from "../formats/metadata.ts";
import { fromByteAlphabet, toByteAlphabet } from "./byte-alphabet.ts";
import {
  createChatTemplate,
  type ChatMessage,
  type ChatTemplate,
  type RenderOptions,
} from "./chat-template.ts";
import { splitWords } from "./pre-tokenizers.ts";
import { longestFirst, splitOnTokens, type SpecialToken } from "./special-tokens.ts";
import { isControlKind, readVocabulary, TokenKind, type Vocabulary } from "./vocabulary.ts";

/** How `encode` reads a text. */
export interface EncodeOptions {
  /** Whether spelled-out control tokens ("<|im_end|>") become control ids; by default they are plain text. */
  readonly specialTokens?: boolean;
}

/** Text to token ids and back, for one model. Immutable, but for the caches that make it fast. */
export interface Tokenizer {
  readonly vocabSize: number;
  /** The token that starts a prompt, if the model has one. */
  readonly bosTokenId: number | undefined;
  /** All tokens that end an answer. */
  readonly eosTokenIds: ReadonlySet<number>;
  /** Whether a raw prompt has to be started with `bosTokenId`; `encode` leaves that to the caller. */
  readonly addBos: boolean;
  /**
   * Ids of a text. Text is data: unless `specialTokens` is set, no text gives a control id. Bytes that the vocabulary
   * has no token for are left out, as in llama.cpp (SmolLM2: six control characters).
   */
  encode(text: string, options?: EncodeOptions): Uint32Array;
  /**
   * Ids of a conversation, laid out by the model's chat template, with the BOS token where the model wants it. Control
   * ids come from the template only, never from a message.
   * @throws ChatTemplateError where the model has no template or the template fails; InvalidOptionError for messages
   *   that aren't well formed.
   */
  encodeChat(messages: readonly ChatMessage[], options?: RenderOptions): Uint32Array;
  /** Bytes that a token stands for, perhaps only part of a character; empty for control tokens. */
  tokenBytes(tokenId: number): Uint8Array;
  /** Whether a token steers the model and is no text. */
  isControl(tokenId: number): boolean;
  /** A token as the vocabulary spells it: how a control token is shown. */
  spelling(tokenId: number): string;
}

/**
 * Builds the tokenizer that a GGUF file describes.
 *
 * @param metadata of the GGUF file.
 * @param name of the file, for messages.
 * @throws UnsupportedModelError, ModelFormatError; a broken chat template is found by `encodeChat`.
 */
export function createTokenizer(metadata: ReadonlyMap<string, GgufValue>, name: string): Tokenizer {
  const file = { metadata, name };
  const vocabulary = readVocabulary(file);
  return tokenizerOf(vocabulary, getString(file, "tokenizer.chat_template", undefined));
}

/**
 * Builds a tokenizer: byte-level BPE with the pre-tokenizers of pre-tokenizers.ts. The merges run in `@huggingface/tokenizers`; the splits before them are ours, because the library's `Digits` knows only
 * ASCII digits, and so are the control tokens, because the library finds them in any text.
 *
 * @param templateSource the model's chat template (Jinja), if it has one; a broken one is found by `encodeChat`.
 */
export function tokenizerOf(vocabulary: Vocabulary, templateSource: string | undefined): Tokenizer {
  const { tokens, kinds, bosTokenId, addBos, normalForm } = vocabulary;
  const special = longestFirst(specialTokens(vocabulary));
  const control = special.filter(({ id }) => isControl(id));
  const userDefined = special.filter(({ id }) => !isControl(id));
  const encodeWords = createBpe(vocabulary);
  let template: ChatTemplate | undefined;

  function isControl(id: number): boolean {
    return isControlKind(kinds[id]);
  }

  function append(ids: number[], text: string, parsed: readonly SpecialToken[]): void {
    for (const part of splitOnTokens(text, parsed)) {
      if (typeof part === "number") ids.push(part);
      else encodeWords(normalForm === undefined ? part : part.normalize(normalForm), ids);
    }
  }

  function textOf(id: number | undefined): string {
    return id === undefined ? "" : (tokens[id] ?? "");
  }

  return {
    vocabSize: tokens.length,
    bosTokenId,
    eosTokenIds: vocabulary.endTokenIds,
    addBos,
    isControl,
    spelling: textOf,

    encode(text, options = {}) {
      const ids: number[] = [];
      append(ids, text, options.specialTokens ? special : userDefined);
      return Uint32Array.from(ids);
    },

    encodeChat(messages, options = {}) {
      template ??= createChatTemplate(templateSource, {
        controlTokens: control,
        bosToken: textOf(bosTokenId),
        eosToken: textOf(vocabulary.eosTokenId),
      });
      const ids: number[] = [];
      for (const part of template.render(messages, options)) {
        if (typeof part === "number") ids.push(part);
        else append(ids, part, userDefined);
      }
      // Most templates write the BOS token themselves; llama.cpp, too, sees to exactly one.
      if (addBos && bosTokenId !== undefined && ids[0] !== bosTokenId) ids.unshift(bosTokenId);
      return Uint32Array.from(ids);
    },

    tokenBytes(id) {
      const token = tokens[id];
      if (token === undefined) throw new Error(`token ${id} is outside the vocabulary`);
      switch (kinds[id]) {
        case TokenKind.normal:
          return fromByteAlphabet(token);
        case TokenKind.userDefined:
          return new TextEncoder().encode(token);
        case TokenKind.byte:
          return Uint8Array.of(Number.parseInt(token.slice(3, 5), 16)); // "<0x0A>"
        default:
          return new Uint8Array();
      }
    },
  };
}

/** Words whose ids are kept; most texts have fewer. */
const MAX_CACHED_WORDS = 20_000;

/** Tokens that stand for themselves in a text: control tokens and those that the model's makers added. */
function specialTokens({ tokens, kinds }: Vocabulary): SpecialToken[] {
  const found: SpecialToken[] = [];
  for (const [id, text] of tokens.entries()) {
    const kind = kinds[id];
    if (text === "") continue;
    if (isControlKind(kind) || kind === TokenKind.userDefined) found.push({ id, text });
  }
  return found;
}

/** The merges, over a vocabulary without the control tokens, so that no text can come out as one. */
function createBpe(vocabulary: Vocabulary): (text: string, ids: number[]) => void {
  const { tokens, kinds, merges, preTokenizer } = vocabulary;
  const entries: [string, number][] = [];
  for (const [id, text] of tokens.entries()) {
    if (text !== "" && !isControlKind(kinds[id])) entries.push([text, id]);
  }
  const idOf = new Map(entries);
  const bpe = new BPE({
    type: "BPE",
    vocab: Object.fromEntries(entries),
    merges,
    ignore_merges: preTokenizer.ignoreMerges,
  });
  const encodeWord = (word: string) =>
    bpe.encode([toByteAlphabet(word)]).flatMap((token) => idOf.get(token) ?? []);
  let cache = new Map<string, readonly number[]>();
  return (text, ids) => {
    for (const word of splitWords(text, preTokenizer)) {
      let wordIds = cache.get(word);
      if (wordIds === undefined) {
        wordIds = encodeWord(word);
        if (cache.size === MAX_CACHED_WORDS) cache = new Map();
        if (word.length < 64) cache.set(word, wordIds);
      }
      for (const id of wordIds) ids.push(id);
    }
  };
}
