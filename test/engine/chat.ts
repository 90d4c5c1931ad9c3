import type { ChatMessage, Engine, GenerateOptions, GenerateResult } from "../../src/index.ts";

/** A conversation as a page holds it: texts, which every call sends in full. */
export class Chat {
  readonly #engine: Engine;
  #messages: readonly ChatMessage[] = [];

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  get messages(): readonly ChatMessage[] {
    return this.#messages;
  }

  /** Send a message; message and answer become part of the conversation when it succeeds. */
  async say(content: string, options: GenerateOptions = {}): Promise<GenerateResult> {
    const messages: ChatMessage[] = [...this.#messages, { role: "user", content }];
    const result = await this.#engine.generate(messages, { maxTokens: 24, ...options }).result;
    this.#messages = [...messages, { role: "assistant", content: result.text }];
    return result;
  }

  /** Take back the last message and its answer. */
  takeBack(): string {
    const { content } = this.#messages.at(-2) as ChatMessage;
    this.#messages = this.#messages.slice(0, -2);
    return content;
  }

  /** Another answer to the last message. */
  async again(options: GenerateOptions = {}): Promise<GenerateResult> {
    return this.say(this.takeBack(), options);
  }
}

/** A text of about so many tokens of the tiny models, different for each `seed`. */
export function story(tokens: number, seed = 0): string {
  const words = ["the", "keeper", "wrote", "down", "height", "of", "water", "mill", "and", "rain"];
  const picked: string[] = [];
  // A word takes about two and a half tokens.
  for (let i = 0; i < tokens / 2.5; i++) {
    picked.push(words[(i * i + 3 * i * seed + seed + (i >> 2)) % words.length]);
  }
  return picked.join(" ");
}
