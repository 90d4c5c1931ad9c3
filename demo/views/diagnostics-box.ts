import { copyText } from "../copy-text.ts";
import { button, el, setText } from "../dom.ts";

/**
 * The diagnostics as text, folded, with a button that copies them.
 * @param report gives them as they are now
 */
export function diagnosticsBox(report: () => string): HTMLElement {
  const pre = el("pre", { tabindex: "0", "aria-label": "Diagnostics" }, report());
  const said = el("span", { class: "copied", role: "status" });
  const box = el("details", { class: "diagnostics" }, el("summary", {}, "Diagnostics"), pre);
  box.addEventListener("toggle", () => setText(pre, report()));
  const copy = button("Copy diagnostics", () => {
    setText(pre, report());
    void copyText(pre.textContent).then((copied) => {
      if (!copied) {
        box.open = true;
        getSelection()?.selectAllChildren(pre);
      }
      setText(said, copied ? "Copied." : "Selected: press Ctrl+C (or ⌘C) to copy.");
    });
  });
  return el("div", { class: "diagnostics-box" }, box, el("p", {}, copy, " ", said));
}
