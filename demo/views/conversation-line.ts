import { button, el } from "../dom.ts";
import { formatMiB, formatTime } from "../format.ts";
import type { SessionInfo } from "../history/session-store.ts";
import type { ConversationHead } from "../history/stored-conversation.ts";

/** A conversation in the list: its title opens it. `session`: its saved cache, where there is one. */
export function conversationLine(
  { id, title, questions, changedAt }: ConversationHead,
  session: SessionInfo | undefined,
  isOpen: boolean,
  actions: { open(): void; rename(): void; remove(): void },
): HTMLElement {
  const count = `${questions} ${questions === 1 ? "question" : "questions"}`;
  const saved = session === undefined ? "" : ` · cache saved, ${formatMiB(session.bytes)}`;
  const keyed = (name: string): Record<string, string> => ({
    "data-key": `${name.toLowerCase()} ${id}`,
    "aria-label": `${name} ${title}`,
  });
  const current = isOpen ? { "aria-current": "true" } : {};
  return el(
    "li",
    {},
    button(title, actions.open, { class: "history-open", "data-key": `open ${id}`, ...current }),
    el(
      "p",
      { class: "history-row" },
      el("span", { class: "caption" }, `${count}, ${formatTime(changedAt)}${saved}`),
      button("Rename", actions.rename, keyed("Rename")),
      button("Delete", actions.remove, keyed("Delete")),
    ),
  );
}

/** The same while its title is changed; `onDone` gets the new one, or nothing. */
export function renameLine(
  title: string,
  onDone: (chosen: string | undefined) => void,
): HTMLElement {
  const name = el("input", { type: "text", "aria-label": "Title", maxlength: "80" });
  name.value = title;
  const save = (): void => onDone(name.value.trim() || undefined);
  name.addEventListener("keydown", (event) => {
    if (event.isComposing || !["Enter", "Escape"].includes(event.key)) return;
    // Escape leaves the title, not the dialog.
    event.preventDefault();
    event.stopPropagation();
    if (event.key === "Enter") save();
    else onDone(undefined);
  });
  return el(
    "li",
    { class: "load-row" },
    name,
    button("Save", save),
    button("Cancel", () => onDone(undefined)),
  );
}
