import type { Turn } from "../conversation.ts";
import { button, el, setHidden, setText } from "../dom.ts";
import { versionOf } from "../versions.ts";

/** `‹ 2/3 ›`: leads to the other versions of a question and its answer. */
export interface VersionPicker {
  readonly element: HTMLElement;
  /** @param isFree no answer is in the making */
  render(turn: Turn, isFree: boolean): void;
  /** Focus the button that goes this way, or the other one at the end of the way. */
  focus(step: -1 | 1): void;
}

/** Make one; it is hidden while there is one version only. */
export function createVersionPicker(onStep: (step: -1 | 1) => void): VersionPicker {
  const earlier = button("‹", () => onStep(-1), { "aria-label": "Earlier version" });
  const later = button("›", () => onStep(1), { "aria-label": "Later version" });
  const place = el("span", { class: "figure", "aria-hidden": "true" });
  const element = el("span", { class: "versions", role: "group" }, earlier, place, later);
  return {
    element,
    render(turn, isFree) {
      const { number, count } = versionOf(turn);
      setHidden(element, count === 1);
      // Said when a button gets the focus: where one is.
      element.setAttribute("aria-label", `Version ${number} of ${count}`);
      setText(place, `${number}/${count}`);
      earlier.disabled = !isFree || number === 1;
      later.disabled = !isFree || number === count;
    },
    focus(step) {
      const [wanted, other] = step < 0 ? [earlier, later] : [later, earlier];
      (wanted.disabled ? other : wanted).focus();
    },
  };
}
