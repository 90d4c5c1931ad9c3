import type { Chat } from "../chat.ts";
import { copyText } from "../copy-text.ts";
import { button, byId, el, setText } from "../dom.ts";
import type { NumberSetting } from "../settings.ts";
import { applyTheme, readTheme, type Theme } from "../theme.ts";
import { numberField, selectField } from "./fields.ts";

const NUMBERS: readonly (readonly [NumberSetting, string])[] = [
  ["temperature", "Temperature (0: always the best token)"],
  ["topK", "Top k (0: off)"],
  ["topP", "Top p (1: off)"],
  ["minP", "Min p (0: off)"],
  ["repetitionPenalty", "Repetition penalty (1: off)"],
  ["seed", "Seed"],
];

/** How answers are made and how the page looks; opened by the button in the head of the page. */
export function connectSettingsDialog(chat: Chat): void {
  const dialog = byId("settings", HTMLDialogElement);
  const fields = NUMBERS.map(([name, label]) => ({ name, field: numberField(label, name, chat) }));
  const system = el("textarea", { id: "system-prompt", rows: "3" });
  system.addEventListener("change", () =>
    chat.changeSettings({ systemPrompt: system.value.trim() }),
  );
  const theme = selectField<Theme>(
    "Theme",
    [
      ["system", "As the system"],
      ["light", "Light"],
      ["dark", "Dark"],
    ],
    applyTheme,
  );
  const copied = el("span", { class: "copied", role: "status" });
  const link = button("Copy a link with these settings", () => {
    void copyText(location.href).then((done) =>
      setText(copied, done ? "Copied." : "This page may not copy; take the address of the page."),
    );
  });
  const close = button("Done", () => dialog.close(), { class: "primary" });
  dialog.append(
    el("h2", { id: "settings-title" }, "Settings"),
    ...fields.map(({ field }) => field.element),
    el(
      "div",
      { class: "field field-tall" },
      el("label", { for: "system-prompt" }, "System prompt"),
      system,
    ),
    theme.element,
    el(
      "p",
      { class: "caption" },
      "Settings are in this page’s address; the system prompt and the conversation never are.",
    ),
    el("p", { class: "load-row" }, close, link, copied),
  );
  byId("open-settings", HTMLButtonElement).addEventListener("click", () => {
    const { settings } = chat.state;
    for (const { name, field } of fields) field.render(settings[name]);
    system.value = settings.systemPrompt;
    theme.render(readTheme());
    setText(copied, "");
    dialog.showModal();
  });
}
