import type { Chat } from "../chat.ts";
import { button, byId, setHidden } from "../dom.ts";

/** Connect the line above the composer that says why a file wasn't taken; what was there before it stays. */
export function connectRefusalNotice(chat: Chat, openFile: () => void): { render(): void } {
  const place = byId("refused", HTMLElement);
  const another = button("Open another file", openFile);
  const dismiss = button("Dismiss", () => chat.refuse(undefined));
  let shown: string | undefined;
  return {
    render() {
      const { refused } = chat.state;
      if (refused === shown) return;
      shown = refused;
      setHidden(place, refused === undefined);
      place.replaceChildren(
        ...(refused === undefined ? [] : [`${refused} `, another, " ", dismiss]),
      );
    },
  };
}
