import type { ChatState } from "../chat-state.ts";
import type { Question } from "../conversation.ts";
import { button, el, setHidden } from "../dom.ts";
import { SAMPLES } from "../samples.ts";

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
  onSuggestion: (question: Question) => void,
  onBringBack: () => void,
): Welcome {
  const back = el(
    "p",
    {},
    "The conversation before was put aside. ",
    button("Bring it back", onBringBack),
  );
  const offer = (label: string, question: Question, about = ""): HTMLElement =>
    el(
      "li",
      {},
      button(label, () => onSuggestion(question), { class: "suggestion" }),
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
      ...SAMPLES.map(({ label, question, about }) => offer(label, question, about)),
    ),
    el("p", {}, "Or something short, for a start:"),
    el(
      "ul",
      { class: "suggestions" },
      ...SUGGESTIONS.map((text) => offer(text, { text, documents: [] })),
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
