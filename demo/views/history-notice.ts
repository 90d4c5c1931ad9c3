import { button, byId } from "../dom.ts";
import type { History } from "../history/history.ts";

/** Connect the line above the composer that says when conversations aren't kept, or not only here. */
export function connectHistoryNotice(history: History): { render(): void } {
  const place = byId("history-notice", HTMLElement);
  const show = button("Show what is kept", () => {
    if (history.openId !== undefined) void history.open(history.openId);
  });
  let shown = "";
  return {
    render() {
      const { problem, elsewhere } = history;
      const text = [problem, elsewhere?.said].filter(Boolean).join(" ");
      if (text === shown) return;
      shown = text;
      place.replaceChildren(text);
      if (elsewhere?.canShow === true) place.append(" ", show);
    },
  };
}
