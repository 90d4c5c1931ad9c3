/** Notices when a control that had the focus is gone, hidden or disabled. */
export interface FocusKeeper {
  /** To be called when the page was drawn: calls `goOn` where the focus would fall to nothing. */
  check(): void;
}

/** @param goOn gives the focus to a place from which the keyboard goes on */
export function createFocusKeeper(goOn: () => void): FocusKeeper {
  let last: Element | undefined;
  addEventListener("focusin", ({ target }) => {
    last = target instanceof Element ? target : undefined;
  });
  return {
    check() {
      if (last === undefined || isUsable(last)) return;
      const { activeElement, body } = document;
      if (activeElement === body || activeElement === last) goOn();
      last = undefined;
    },
  };
}

/** By attributes alone: asking for the layout in every frame would cost more than all else. */
function isUsable(element: Element): boolean {
  return (
    element.isConnected && element.closest("[hidden]") === null && !element.matches(":disabled")
  );
}
