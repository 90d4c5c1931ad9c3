import { button, el, setHidden, setText } from "../dom.ts";
import { formatMiB } from "../format.ts";
import type { SessionShelf } from "../history/session-shelf.ts";
import { MOST_SESSION_BYTES } from "../history/session-store.ts";

/** The line that says what saved caches take, and lets go of them; `onDropped` is called when they are gone. */
export function createSavedCaches(
  sessions: SessionShelf,
  onDropped: () => void,
): { readonly element: HTMLElement; render(): void } {
  const said = el("p", { class: "caption figure" });
  const drop = button("Delete saved caches", () => {
    drop.disabled = true;
    void sessions.remove([...sessions.infos.keys()]).then(() => {
      render();
      onDropped();
    });
  });
  const element = el("div", { class: "history-row" }, said, drop);

  function render(): void {
    const { infos, problem } = sessions;
    const bytes = [...infos.values()].reduce((sum, info) => sum + info.bytes, 0);
    const most = formatMiB(MOST_SESSION_BYTES);
    const total =
      `Saved caches: ${formatMiB(bytes)} of at most ${most}. ` +
      `With its cache, a conversation goes on without being read again.`;
    setText(said, [infos.size > 0 ? total : "", problem].filter(Boolean).join(" "));
    setHidden(element, infos.size === 0 && problem === undefined);
    setHidden(drop, infos.size === 0);
    drop.disabled = false;
  }

  return { element, render };
}
