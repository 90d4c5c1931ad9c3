import { type ChatState, isBusy } from "../chat-state.ts";
import { button, setHidden } from "../dom.ts";
import { createTurnView, type TurnActions, type TurnView } from "./turn-view.ts";

/** How near to the end counts as reading along, in CSS pixels. */
const FOLLOW_PX = 48;

/** The conversation: adds and updates turns, and follows the end while the reader is there. */
export interface ThreadView {
  render(state: ChatState): void;
  /** Open the last question for changing. */
  editLast(): void;
}

/**
 * @param scroller scrolls; the log and what follows it lie inside
 * @param log holds the turns
 */
export function createThreadView(
  scroller: HTMLElement,
  log: HTMLElement,
  actions: TurnActions,
): ThreadView {
  const views = new Map<number, TurnView>();
  const toEnd = button("Jump to the end", () => {
    follows = true;
    scroller.scrollTop = scroller.scrollHeight;
    scroller.focus();
    setHidden(toEnd, true);
  });
  toEnd.className = "to-end";
  setHidden(toEnd, true);
  scroller.after(toEnd);
  let follows = true;
  let top = 0;
  let shown: Pick<ChatState, "turns" | "comparison"> = { turns: [], comparison: undefined };
  /** Where another version was asked for: its buttons get the focus. */
  let stepped: { readonly at: number; readonly step: -1 | 1 } | undefined;
  const ownActions: TurnActions = {
    ...actions,
    showVersion(turn, step) {
      stepped = { at: shown.turns.indexOf(turn), step };
      // Who looks at an earlier turn isn't pulled away from it.
      if (turn !== shown.turns.at(-1)) follows = false;
      actions.showVersion(turn, step);
    },
  };
  scroller.addEventListener("scroll", () => {
    const end = scroller.scrollHeight - scroller.clientHeight;
    // Content that has grown moves the end away; only who scrolls back leaves it.
    if (end - scroller.scrollTop < FOLLOW_PX) follows = true;
    else if (scroller.scrollTop < top) follows = false;
    top = scroller.scrollTop;
    setHidden(toEnd, follows);
  });
  // When its height is known anyway, and for what grows by itself too.
  new ResizeObserver(() => {
    if (follows && views.size > 0) scroller.scrollTop = scroller.scrollHeight;
  }).observe(log.parentElement ?? log);
  return {
    render(state) {
      const before = views.size;
      const isFree = !isBusy(state) && state.model.step !== "failed";
      const ids = new Set(state.turns.map(({ id }) => id));
      for (const [id, view] of views) {
        if (ids.has(id)) continue;
        view.element.remove();
        views.delete(id);
      }
      shown = state;
      for (const [index, turn] of state.turns.entries()) {
        let view = views.get(turn.id);
        if (view === undefined) {
          view = createTurnView(turn, ownActions);
          views.set(turn.id, view);
          log.insertBefore(view.element, log.children[index] ?? null);
        }
        view.render(state, turn, index === state.turns.length - 1, isFree);
      }
      // A new question is always brought into view; while reading back, nothing is pulled away.
      if (views.size > before && stepped === undefined) follows = true;
      if (stepped !== undefined) {
        views.get(state.turns[stepped.at]?.id ?? -1)?.focusVersions(stepped.step);
        stepped = undefined;
      }
      setHidden(toEnd, follows || views.size === 0);
    },
    editLast() {
      const last = [...views.values()].at(-1);
      if (!isBusy(shown)) last?.edit();
    },
  };
}
