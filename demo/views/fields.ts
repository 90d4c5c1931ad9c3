import type { Chat } from "../chat.ts";
import { el } from "../dom.ts";
import { keepsRule, NUMBER_RULES, type NumberSetting } from "../settings.ts";

/** A labelled control of a setting. */
export interface Field<T> {
  readonly element: HTMLElement;
  render(value: T): void;
}

let count = 0;

/** One of a few words. */
export function selectField<T extends string>(
  label: string,
  options: readonly (readonly [value: T, text: string])[],
  onChange: (value: T) => void,
): Field<T> {
  const id = `field-${++count}`;
  const select = el(
    "select",
    { id },
    ...options.map(([value, text]) => el("option", { value }, text)),
  );
  select.addEventListener("change", () => {
    const chosen = options.find(([value]) => value === select.value);
    if (chosen !== undefined) onChange(chosen[0]);
  });
  return {
    element: el("div", { class: "field" }, el("label", { for: id }, label), select),
    render(value) {
      if (select.value !== value) select.value = value;
    },
  };
}

/** A number of a setting with a fixed range; what is out of it is said by the browser, and not taken. */
export function numberField(
  label: string,
  name: NumberSetting,
  chat: Pick<Chat, "changeSettings">,
): Field<number> {
  const id = `field-${++count}`;
  const rule = NUMBER_RULES[name];
  const { min, max, step } = rule;
  const input = el("input", {
    id,
    type: "number",
    min: `${min}`,
    max: `${max}`,
    step: step === 1 ? "1" : "any",
    inputmode: step === 1 ? "numeric" : "decimal",
    required: true,
  });
  input.addEventListener("change", () => {
    if (keepsRule(input.valueAsNumber, rule)) chat.changeSettings({ [name]: input.valueAsNumber });
    else input.reportValidity();
  });
  return {
    element: el("div", { class: "field" }, el("label", { for: id }, label), input),
    render(value) {
      if (document.activeElement !== input && input.value !== `${value}`) input.value = `${value}`;
    },
  };
}
