import { copyText } from "../copy-text.ts";
import { button, el, setText } from "../dom.ts";
import { colourCode } from "./code-colours.ts";

/** Longest name of a language that is shown. */
const LANGUAGE_LENGTH = 24;

/** A block of code, growing, with its language and a button that copies it. */
export interface CodeBlock {
  readonly element: HTMLElement;
  /** Holds the code, and nothing else. */
  readonly code: HTMLElement;
  setLanguage(name: string): void;
  /** So many characters were added to the code. */
  grew(by: number): void;
  /** Nothing follows. */
  complete(): void;
}

/** Make an empty block. */
export function createCodeBlock(language = ""): CodeBlock {
  const code = el("code");
  const colours = colourCode(code, () => label.textContent);
  const label = el("span", { class: "code-language" }, language);
  const said = el("span", { class: "copied", role: "status" });
  const copy = button("Copy code", () => {
    void copyText(code.textContent).then((done) => {
      if (!done) getSelection()?.selectAllChildren(code);
      setText(said, done ? "Copied." : "Selected: press Ctrl+C (or ⌘C) to copy.");
    });
  });
  // Scrolls sideways, so the keyboard must get there.
  const pre = el("pre", { tabindex: "0", "aria-label": "Code" }, code);
  const head = el("div", { class: "code-head" }, label, said, copy);
  return {
    element: el("div", { class: "code" }, head, pre),
    code,
    setLanguage(name) {
      setText(label, name.trim().slice(0, LANGUAGE_LENGTH));
    },
    ...colours,
  };
}
