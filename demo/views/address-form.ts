import type { ModelChoice } from "../chat-state.ts";
import { button, el, setHidden, setText } from "../dom.ts";
import { aheadText, lookAhead } from "../look-ahead.ts";
import { ADDRESS_PATTERN, parseModelAddress } from "../model-address.ts";
import { describeLoadProblem } from "../problem.ts";

/** Takes an address or a repository; what it will cost is said before `load` is called. */
export function createAddressForm(load: (choice: ModelChoice) => void): HTMLElement {
  const address = el("input", {
    type: "text",
    id: "model-address",
    required: true,
    pattern: ADDRESS_PATTERN,
    title: "an https address, or owner/name of a repository, with /file.gguf for one file of it",
    placeholder: "https://…/model.gguf or owner/name",
    autocomplete: "off",
    spellcheck: "false",
  });
  const ask = el("button", { type: "submit" }, "Look it up");
  const form = el(
    "form",
    { class: "load-row" },
    el("label", { class: "caption", for: "model-address" }, "Or from an address or hub"),
    address,
    ask,
  );
  const said = el("span", { class: "caption figure", role: "status" });
  const loadIt = button("Load it", () => take(), { class: "primary" });
  const row = el("p", { class: "load-row address-ahead" }, said, loadIt);
  let chosen: ModelChoice | undefined;

  /** Nothing is looked up, or `choice` is. */
  const choose = (choice: ModelChoice | undefined): void => {
    chosen = choice;
    setText(said, choice === undefined ? "" : `${choice.name}: asking for its size…`);
    setHidden(loadIt, true);
  };
  const take = (): void => {
    const choice = chosen;
    choose(undefined);
    if (choice !== undefined) load(choice);
  };

  async function lookUp(choice: ModelChoice): Promise<void> {
    choose(choice);
    try {
      const text = aheadText(await lookAhead(choice));
      if (chosen !== choice) return;
      setText(said, `${choice.name}: ${text}`);
      setHidden(loadIt, false);
      if (document.activeElement === address || document.activeElement === ask) loadIt.focus();
    } catch (error) {
      if (chosen !== choice) return;
      setText(said, `${describeLoadProblem(error).happened} Check the address.`);
    }
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const choice = parseModelAddress(address.value);
    if (choice !== undefined) return void lookUp(choice);
    address.setCustomValidity("This is no address: look for a mistake in its host or port.");
    address.reportValidity();
  });
  address.addEventListener("input", () => {
    address.setCustomValidity("");
    choose(undefined);
  });
  choose(undefined);
  return el("div", { class: "address-form" }, form, row);
}
