import { type GoldenHeader } from "./format.ts";

/** A text and its ids by llama.cpp. */
export interface EncodedText {
  readonly text: string;
  readonly ids: readonly number[];
}

/** Facts about a vocabulary's tokens, as llama.cpp sees them. */
export interface TokenFacts {
  readonly count: number;
  /** Ids that end an answer. */
  readonly ends: readonly number[];
  readonly controls: readonly number[];
  /** Some ids, and the bytes of each in hexadecimal digits. */
  readonly bytes: readonly (readonly [id: number, hex: string])[];
}

export interface GoldenMessage {
  readonly role: "system" | "user" | "assistant";
  readonly content: string;
}

/** `tokens.json`: the default model's tokenizer, and chat templates. */
export interface TokensGolden {
  readonly header: GoldenHeader;
  readonly cases: readonly EncodedText[];
  /** Texts whose control tokens are to be found. */
  readonly spelled: readonly EncodedText[];
  readonly tokens: TokenFacts;
  /** Conversations in the model's own template, by transformers; ids by llama.cpp. */
  readonly conversations: readonly (EncodedText & {
    readonly messages: readonly GoldenMessage[];
    /** Whether the text ends with the start of an answer. */
    readonly prompt: boolean;
  })[];
  /** Conversations in other templates, by transformers, with the start of an answer. */
  readonly templates: readonly {
    readonly template: string;
    readonly messages: readonly GoldenMessage[];
    readonly text: string;
  }[];
}

/** `tokens-tiny.json`: a small vocabulary that tells pre-tokenizers apart. */
export interface TinyTokensGolden {
  readonly header: GoldenHeader;
  readonly vocabulary: readonly { readonly text: string; readonly kind: number }[];
  readonly merges: readonly string[];
  readonly texts: readonly string[];
  /** Ids of each text under each of the names of a pre-tokenizer. */
  readonly groups: readonly {
    readonly names: readonly string[];
    readonly ids: readonly (readonly number[])[];
  }[];
  readonly tokens: TokenFacts;
}
