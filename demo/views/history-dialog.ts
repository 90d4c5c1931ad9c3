import { byId, button, el, setHidden, setText } from "../dom.ts";
import { HistoryFileError } from "../history/history-file-error.ts";
import type { History } from "../history/history.ts";
import type { ConversationHead } from "../history/stored-conversation.ts";
import { conversationLine, renameLine } from "./conversation-line.ts";
import { createSavedCaches } from "./saved-caches.ts";

/** The dialog that lists the conversations. */
export interface HistoryDialog {
  render(): void;
}

/** Fill the dialog and connect the button that opens it; `onOpened` is called when one was chosen. */
export function connectHistoryDialog(history: History, onOpened: () => void): HistoryDialog {
  const dialog = byId("history", HTMLDialogElement);
  const find = el("input", { type: "search", id: "history-find", placeholder: "In the titles" });
  const list = el("ul", { class: "history-list" });
  const empty = el("p", { class: "caption" });
  const said = el("p", { class: "history-said", role: "status" });
  const problem = el("p", { class: "history-problem", role: "alert" });
  const file = el("input", { type: "file", id: "history-file", accept: ".json", hidden: true });
  const exportButton = button("Export all", () => void exportAll());
  const saved = createSavedCaches(history.sessions, () => find.focus());
  const removeAll = button("Delete all", askBeforeAll);
  /** The conversation whose title is being changed. */
  let renaming: string | undefined;

  /** What was said last can be undone: it stays when the dialog is closed and opened again. */
  let offersUndo = false;

  const say = (text: string, undo?: () => Promise<void>): void => {
    offersUndo = undo !== undefined;
    said.replaceChildren(text);
    setText(problem, "");
    if (undo === undefined) return;
    const back = button("Undo", () => {
      say("");
      find.focus();
      void undo();
    });
    said.append(" ", back);
    back.focus();
  };

  function askBeforeAll(): void {
    const { heads } = history;
    say(`Delete ${heads.length === 1 ? "the one conversation" : `all ${heads.length}`}? `);
    const keep = button("Keep them", () => {
      say("");
      removeAll.focus();
    });
    said.append(
      button("Delete them", () => void remove(heads)),
      " ",
      keep,
    );
    keep.focus();
  }

  async function remove(heads: readonly ConversationHead[]): Promise<void> {
    const undo = await history.remove(heads.map(({ id }) => id));
    const [first] = heads;
    const isOne = heads.length === 1 && first !== undefined;
    say(isOne ? `“${first.title}” was deleted.` : `${heads.length} were deleted.`, undo);
  }

  async function exportAll(): Promise<void> {
    const url = URL.createObjectURL(new Blob([await history.exportAll()]));
    const name = `ziggurat-conversations-${new Date().toISOString().slice(0, 10)}.json`;
    el("a", { href: url, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(url), 60_000);
    say("Exported.");
  }

  async function importFile(chosen: File): Promise<void> {
    say("");
    try {
      const { added, known } = await history.importFile(chosen);
      const rest = known > 0 ? ` ${known} ${known === 1 ? "was" : "were"} here already.` : "";
      say(`${added} ${added === 1 ? "conversation" : "conversations"} imported.${rest}`);
    } catch (error) {
      const why =
        error instanceof HistoryFileError
          ? error.message
          : `It could not be read (${String(error)}): choose it again.`;
      setText(problem, `${chosen.name} was not imported: nothing has changed. ${why}`);
    }
  }

  function draw(): void {
    const { heads } = history;
    const wanted = find.value.trim().toLowerCase();
    const found = heads.filter(({ title }) => title.toLowerCase().includes(wanted));
    const focused = list.contains(document.activeElement)
      ? document.activeElement?.getAttribute("data-key")
      : undefined;
    list.replaceChildren(...found.map(line));
    setText(
      empty,
      heads.length === 0 ? "None yet: ask a question, and it is kept here." : "None found.",
    );
    setHidden(empty, found.length > 0);
    saved.render();
    exportButton.disabled = heads.length === 0;
    removeAll.disabled = heads.length === 0;
    // The list is made anew: whoever uses the keyboard stays where they were.
    if (focused) focusOn(focused);
  }

  function focusOn(key: string): void {
    (list.querySelector<HTMLElement>(`[data-key="${CSS.escape(key)}"]`) ?? find).focus();
  }

  function line(head: ConversationHead): HTMLElement {
    const { id, title } = head;
    if (id !== renaming) {
      const session = history.sessions.infos.get(id);
      return conversationLine(head, session, id === history.openId, {
        open() {
          dialog.close();
          void history.open(id).then(onOpened);
        },
        rename() {
          renaming = id;
          draw();
          list.querySelector("input")?.select();
        },
        remove: () => void remove([head]),
      });
    }
    return renameLine(title, (chosen) => {
      renaming = undefined;
      if (chosen !== undefined) void history.rename(id, chosen);
      draw();
      focusOn(`rename ${id}`);
    });
  }

  file.addEventListener("change", () => {
    const chosen = file.files?.[0];
    // Else choosing the same file once more would say nothing.
    file.value = "";
    if (chosen !== undefined) void importFile(chosen);
  });
  find.addEventListener("input", draw);
  byId("open-history", HTMLButtonElement).addEventListener("click", () => {
    renaming = undefined;
    find.value = "";
    if (!offersUndo) say("");
    setText(problem, "");
    draw();
    dialog.showModal();
  });
  dialog.append(
    el("h2", { id: "history-title" }, "Conversations"),
    el("p", { class: "caption" }, "They are kept in this browser, and nowhere else."),
    el("div", { class: "field" }, el("label", { for: "history-find" }, "Find"), find),
    list,
    empty,
    saved.element,
    said,
    problem,
    el(
      "p",
      { class: "load-row" },
      button("Done", () => dialog.close(), { class: "primary" }),
      exportButton,
      button("Import", () => file.click()),
      removeAll,
    ),
    file,
  );

  return {
    render() {
      // A title that is being changed stays as it is until it is done.
      if (dialog.open && renaming === undefined) draw();
    },
  };
}
