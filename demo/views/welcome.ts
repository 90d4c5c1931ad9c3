import type { ChatState } from "../chat-state.ts";
import { button, el, setHidden } from "../dom.ts";

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

/** @param onSuggestion puts a question into the composer; @param onBringBack undoes "New conversation" */
export function createWelcome(
  onSuggestion: (question: string) => void,
  onBringBack: () => void,
): Welcome {
  const back = el(
    "p",
    {},
    "The conversation before was put aside. ",
    button("Bring it back", onBringBack),
  );
  const element = el(
    "section",
    { class: "card welcome" },
    el("h2", {}, "Ask a question"),
    el("p", {}, "The whole conversation is sent with each one. For a start:"),
    el(
      "ul",
      { class: "suggestions" },
      ...SUGGESTIONS.map((question) =>
        el(
          "li",
          {},
          button(question, () => onSuggestion(question), { class: "suggestion" }),
        ),
      ),
    ),
    back,
  );
  return {
    element,
    render({ putAside }) {
      setHidden(back, putAside.length === 0);
    },
  };
}
