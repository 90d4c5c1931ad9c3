import type { Engine } from "../src/index.ts";
import type { ChatState } from "./chat-state.ts";
import { type TextDocument, toMessages } from "./conversation.ts";

/** Tokens that are left for an answer whose length isn't set. */
const ANSWER_TOKENS = 512;

/** Each cut takes a little more than the mean says, since tokens differ in length. */
const MARGIN = 0.98;

/** A cut leaves at least half, so that of several long documents none is cut away alone. */
const LEAST_KEPT = 0.5;

/** With fewer characters there is nothing left to ask about. */
const LEAST_CHARACTERS = 100;

/**
 * The documents of the last question, the longest one cut at its end so far that the conversation
 * fits into the context, with room for the answer.
 * @returns undefined where next to nothing of the documents would be left
 */
export async function fitDocument(
  engine: Pick<Engine, "config" | "previewPrompt">,
  { turns, settings }: Pick<ChatState, "turns" | "settings">,
  maxTokens: number = ANSWER_TOKENS,
): Promise<readonly TextDocument[] | undefined> {
  const turn = turns.at(-1);
  const room = engine.config.contextLength - Math.min(maxTokens, engine.config.contextLength / 2);
  let documents = turn?.documents ?? [];
  for (;;) {
    const last = turn === undefined ? [] : [{ ...turn, documents }];
    const messages = toMessages([...turns.slice(0, -1), ...last], settings.systemPrompt);
    const tokens = (await engine.previewPrompt(messages)).tokenIds.length;
    const longest = documents.reduce(
      (a, b) => (b.text.length > a.text.length ? b : a),
      documents[0] ?? { name: "", text: "" },
    );
    if (tokens <= room) return documents;
    if (longest.text.length < LEAST_CHARACTERS) return undefined;
    const share = Math.max(0, (longest.text.length / contentLength(messages)) * tokens);
    const keep = Math.max(LEAST_KEPT, 1 - (tokens - room) / Math.max(share, 1)) * MARGIN;
    const cut = longest.text.slice(0, Math.floor(longest.text.length * keep));
    documents = documents.map((document) =>
      document === longest ? { ...document, text: cut } : document,
    );
  }
}

function contentLength(messages: readonly { readonly content: string }[]): number {
  return Math.max(
    1,
    messages.reduce((sum, { content }) => sum + content.length, 0),
  );
}
