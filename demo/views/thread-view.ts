import { openTurn, type ChatState } from "../chat-state.ts";
import { createTurnView, type TurnActions, type TurnView } from "./turn-view.ts";

/** How near to the end counts as reading along, in CSS pixels. */
const FOLLOW_PX = 48;

/** The conversation: adds and updates turns, and follows the end while the reader is there. */
export interface ThreadView {
  render(state: ChatState): void;
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
  // Kept from scroll to scroll: once the content has grown, the end is elsewhere.
  let follows = true;
  scroller.addEventListener("scroll", () => {
    const end = scroller.scrollHeight - scroller.clientHeight;
    follows = end - scroller.scrollTop < FOLLOW_PX;
  });
  return {
    render(state) {
      const before = views.size;
      const canAnswerAgain = openTurn(state) === undefined && state.model.step !== "failed";
      const ids = new Set(state.turns.map(({ id }) => id));
      for (const [id, view] of views) {
        if (ids.has(id)) continue;
        view.element.remove();
        views.delete(id);
      }
      for (const [index, turn] of state.turns.entries()) {
        let view = views.get(turn.id);
        if (view === undefined) {
          view = createTurnView(turn.question, actions);
          views.set(turn.id, view);
          log.append(view.element);
        }
        view.render(turn, canAnswerAgain && index === state.turns.length - 1);
      }
      // A new question is always brought into view; while reading back, nothing is pulled away.
      if (views.size > 0 && (follows || views.size > before)) {
        scroller.scrollTop = scroller.scrollHeight;
      }
    },
  };
}
