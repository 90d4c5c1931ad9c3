import type { ChatState } from "../chat-state.ts";
import { button, el, setHidden } from "../dom.ts";
import { type Sample, SAMPLES } from "../samples.ts";

/** What is put before the user: a question, and what it goes on with. */
export type Suggestion = Pick<Sample, "question" | "earlier">;

const SUGGESTIONS = [
  "Why is the sky blue?",
  "What does a GPU do?",
  "Name three uses of sand.",
] as const;

/** The empty conversation of a loaded model: offers the first question. */
export interface Welcome {
  readonly element: HTMLElement;
  render(state: ChatState): void;
}

/** @param onSuggestion puts it into the composer; @param onBringBack undoes "New conversation" */
export function createWelcome(
  onSuggestion: (suggestion: Suggestion) => void,
  onBringBack: () => void,
): Welcome {
  const back = el(
    "p",
    {},
    "The conversation before was put aside. ",
    button("Bring it back", onBringBack),
  );
  const offer = (label: string, suggestion: Suggestion, about = ""): HTMLElement =>
    el(
      "li",
      {},
      button(label, () => onSuggestion(suggestion), { class: "suggestion" }),
      ...(about === "" ? [] : [el("span", { class: "caption" }, ` ${about}`)]),
    );
  const element = el(
    "section",
    { class: "card welcome" },
    el("h2", {}, "Ask a question"),
    el("p", {}, "A long text shows best what the compressed cache saves:"),
    el(
      "ul",
      { class: "samples" },
      ...SAMPLES.map((sample) => offer(sample.label, sample, sample.about)),
    ),
    el("p", {}, "Or something short, for a start:"),
    el(
      "ul",
      { class: "suggestions" },
      ...SUGGESTIONS.map((text) => offer(text, { question: { text, documents: [] } })),
    ),
    back,
  );
  return {
    element,
    render({ putAside }) {
      setHidden(back, putAside.turns.length === 0);
    },
  };
}
