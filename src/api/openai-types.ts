import type { ChatMessage } from "../text/chat-template.ts";

/** A part of a message's content; other kinds than text are refused. */
export interface ChatTextPart {
  readonly type: "text";
  readonly text: string;
}

/** One message of a conversation. */
export interface ChatCompletionMessage {
  /** `developer` is what newer models call `system`. */
  readonly role: ChatMessage["role"] | "developer";
  readonly content: string | readonly ChatTextPart[];
  /** Who of several speaks: passed over, since templates know roles alone. */
  readonly name?: string | null;
}

/**
 * A request as OpenAI's API spells it, with its defaults (so `temperature` is 1, not 0). `null` is
 * the same as leaving out. The fields below the first line are notes for a server's books, which change nothing
 * here; those below the second are ours, spelled as other servers spell them.
 */
export interface ChatCompletionRequest {
  readonly messages: readonly ChatCompletionMessage[];
  /** Named in the answer; the engine has its model already. */
  readonly model?: string;
  readonly stream?: boolean | null;
  readonly stream_options?: { readonly include_usage?: boolean } | null;
  readonly temperature?: number | null;
  readonly top_p?: number | null;
  readonly max_completion_tokens?: number | null;
  /** The older name of `max_completion_tokens`. */
  readonly max_tokens?: number | null;
  readonly stop?: string | readonly string[] | null;
  readonly seed?: number | null;
  readonly n?: 1 | null;
  /** Token ids, and what is added to their logits: -100 to 100. */
  readonly logit_bias?: Readonly<Record<string, number>> | null;
  readonly frequency_penalty?: number | null;
  readonly presence_penalty?: number | null;
  /** Tell the log-probability of each token: the model's own, before biases, penalties and temperature. */
  readonly logprobs?: boolean | null;
  /** With `logprobs`: those of so many of the best tokens in its place, 0 to 20. */
  readonly top_logprobs?: number | null;
  // ----
  readonly user?: string | null;
  readonly metadata?: Readonly<Record<string, string>> | null;
  readonly prompt_cache_key?: string | null;
  readonly safety_identifier?: string | null;
  // ----
  readonly top_k?: number | null;
  readonly min_p?: number | null;
  readonly repetition_penalty?: number | null;
}

/** What goes beside a request. */
export interface ChatCompletionOptions {
  readonly signal?: AbortSignal;
}

/** Tokens of a request, and what the cache takes. */
export interface ChatCompletionUsage {
  /** All tokens of the prompt; those that the cache had seen are among them. */
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly total_tokens: number;
  readonly prompt_tokens_details: { readonly cached_tokens: number };
  /** What the answer's cache takes on the GPU; absent where a server answered. */
  readonly kv_cache?: {
    readonly policy: string;
    readonly allocated_bytes: number;
    /** What the same cache would take uncompressed. */
    readonly full_bytes: number;
    readonly saved_bytes: number;
    readonly peak_bytes: number;
    readonly evicted: boolean;
  };
  readonly extra: {
    readonly time_to_first_token_s: number;
    readonly prefill_tokens_per_s: number;
    readonly decode_tokens_per_s: number;
  };
}

/** Why an answer ended. */
export type ChatFinishReason = "stop" | "length";

/** A token and how probable the model finds it. */
export interface ChatTopLogprob {
  readonly token: string;
  /** Natural logarithm; -9999 for what is as good as impossible. */
  readonly logprob: number;
  /** Of the token's UTF-8 text, which may be a part of a character; null for control tokens. */
  readonly bytes: readonly number[] | null;
}

/** A token of the answer, and the best ones in its place. */
export interface ChatTokenLogprob extends ChatTopLogprob {
  readonly top_logprobs: readonly ChatTopLogprob[];
}

/** Log-probabilities of an answer or of a piece of it. */
export interface ChatLogprobs {
  readonly content: readonly ChatTokenLogprob[];
  readonly refusal: null;
}

/** A whole answer. */
export interface ChatCompletion {
  readonly id: string;
  readonly object: "chat.completion";
  /** Seconds since 1970. */
  readonly created: number;
  readonly model: string;
  readonly choices: readonly [
    {
      readonly index: 0;
      readonly message: {
        readonly role: "assistant";
        readonly content: string;
        readonly refusal: null;
      };
      readonly logprobs: ChatLogprobs | null;
      readonly finish_reason: ChatFinishReason;
    },
  ];
  /** Absent where a server did not tell. */
  readonly usage?: ChatCompletionUsage;
}

/** A piece of a streamed answer. */
export interface ChatCompletionChunk {
  readonly id: string;
  readonly object: "chat.completion.chunk";
  readonly created: number;
  readonly model: string;
  /** Empty in the chunk that brings the usage. */
  readonly choices: readonly {
    readonly index: 0;
    readonly delta: { readonly role?: "assistant"; readonly content?: string };
    readonly logprobs: ChatLogprobs | null;
    readonly finish_reason: ChatFinishReason | null;
  }[];
  /** With `include_usage`: null in every chunk but the last. */
  readonly usage?: ChatCompletionUsage | null;
}

/** `chat.completions` of OpenAI's client. */
export interface ChatCompletions {
  /** Stream an answer, piece by piece. */
  create(
    request: ChatCompletionRequest & { readonly stream: true },
    options?: ChatCompletionOptions,
  ): Promise<AsyncIterable<ChatCompletionChunk>>;
  /** Answer as a whole. */
  create(
    request: ChatCompletionRequest & { readonly stream?: false | null },
    options?: ChatCompletionOptions,
  ): Promise<ChatCompletion>;
  /** Either, where `stream` is known only when it runs. */
  create(
    request: ChatCompletionRequest,
    options?: ChatCompletionOptions,
  ): Promise<ChatCompletion | AsyncIterable<ChatCompletionChunk>>;
}
