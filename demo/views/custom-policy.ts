import type { Chat } from "../chat.ts";
import { el, setHidden } from "../dom.ts";
import { parseLayerRows } from "../layer-rows.ts";
import { type PolicyName, RANKINGS, policyChoice, type Settings } from "../settings.ts";
import { selectField } from "./fields.ts";

/** What only the custom policy takes: how rows are ranked, and how many each layer keeps. */
export function createCustomPolicy(chat: Pick<Chat, "changeSettings">): {
  readonly element: HTMLElement;
  render(settings: Settings): void;
} {
  const ranking = selectField<PolicyName>(
    "Ranked as by",
    RANKINGS.map((name) => [name, policyChoice(name).label]),
    (value) => chat.changeSettings({ ranking: value }),
  );
  const rows = el("input", {
    id: "layer-rows",
    autocomplete: "off",
    spellcheck: "false",
    "aria-describedby": "layer-rows-about",
  });
  rows.addEventListener("change", () => {
    const numbers = parseLayerRows(rows.value);
    rows.setCustomValidity(numbers === undefined ? "Numbers from 16 to 32,768, by commas." : "");
    if (numbers === undefined) rows.reportValidity();
    else chat.changeSettings({ layerRows: numbers.join() });
  });
  const element = el(
    "div",
    {},
    ranking.element,
    el("div", { class: "field" }, el("label", { for: rows.id }, "Rows by layer"), rows),
    el(
      "p",
      { class: "caption", id: "layer-rows-about" },
      "From the lowest layer to the highest; those between are filled in evenly. As many numbers as " +
        "layers set each one.",
    ),
  );
  return {
    element,
    render(settings) {
      setHidden(element, settings.policy !== "custom");
      ranking.render(settings.ranking);
      const shown = settings.layerRows.replaceAll(",", ", ");
      if (document.activeElement !== rows && rows.validity.valid) rows.value = shown;
    },
  };
}
