import type { ChatState } from "./chat-state.ts";
import { isAnswering } from "./conversation.ts";
import { byId, el, setText } from "./dom.ts";
import { formatTokens } from "./format.ts";
import { createSentenceFeed, type SentenceFeed } from "./sentences.ts";

/** Sentences that stay where they are heard; what is older stands in the thread. */
const HEARD_SENTENCES = 10;

/**
 * Connect the places where screen readers hear what a glance would show: what is going on, and the
 * answer, sentence by sentence. The thread itself is silent: it grows by tokens.
 */
export function connectAnnouncer(): { render(state: ChatState): void } {
  const place = byId("announcer", HTMLElement);
  const heard = byId("heard", HTMLElement);
  /** The answer that is being heard: those that were there before aren't read out. */
  let answer: { readonly of: string; readonly feed: SentenceFeed } | undefined;

  const readOut = ({ turns }: ChatState): void => {
    const turn = turns.at(-1);
    const of = turn === undefined ? "" : `${turn.id} ${turn.attempt}`;
    if (answer !== undefined && answer.of !== of) {
      answer = undefined;
      heard.replaceChildren();
    }
    if (turn === undefined) return;
    const isOpen = isAnswering(turn);
    if (isOpen) answer ??= { of, feed: createSentenceFeed() };
    const sentences = answer?.feed.take(turn.answer, !isOpen) ?? [];
    heard.append(...sentences.map((sentence) => el("p", {}, sentence)));
    while (heard.childElementCount > HEARD_SENTENCES) heard.firstElementChild?.remove();
  };

  return {
    render(state) {
      setText(place, announcementOf(state));
      readOut(state);
    },
  };
}

function announcementOf({ model, turns, comparison }: ChatState): string {
  if (model.step === "loading") return `Loading ${model.choice.name}.`;
  if (comparison?.state === "running") return "Comparing with the full cache.";
  const turn = turns.at(-1);
  if (turn === undefined) return model.step === "ready" ? "The model is ready." : "";
  switch (turn.state) {
    case "waiting":
      return "The question waits for the model.";
    case "reading":
      return "Reading the conversation.";
    case "writing":
      return "Writing the answer.";
    case "done":
      return `Answer complete, ${formatTokens(turn.figures.wroteTokens ?? 0)}.`;
    case "stopped":
      return "Stopped.";
    case "failed":
      return "The answer failed.";
    default:
      return turn.state satisfies never;
  }
}
