import type { TextDocument } from "../conversation.ts";
import { button, el } from "../dom.ts";
import { formatCount, formatTokens } from "../format.ts";

/** Characters of a document that are laid out when it is opened. */
const SHOWN = 20_000;

/**
 * A document that goes with a question: its name and size, its text where one asks for it.
 * @param tokens of it, once they are known
 */
export function documentChip(
  { name, text }: TextDocument,
  tokens?: number,
  onRemove?: () => void,
): HTMLElement {
  const size =
    tokens === undefined ? `${formatCount(text.length)} characters` : formatTokens(tokens);
  const details = el(
    "details",
    { class: "chip" },
    el("summary", {}, name, " ", el("span", { class: "caption figure" }, size)),
  );
  details.addEventListener("toggle", () => {
    if (details.childElementCount > 1) return;
    const cut = text.length > SHOWN ? `${text.slice(0, SHOWN)}…` : text;
    details.append(el("p", { class: "chip-text", tabindex: "0" }, cut));
  });
  if (onRemove === undefined) return details;
  const remove = button("Remove", onRemove, { "aria-label": `Remove ${name}` });
  return el("div", { class: "chip-row" }, details, remove);
}
