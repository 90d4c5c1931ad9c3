import type { KeptCopy } from "../chat-state.ts";
import { button, el, setHidden } from "../dom.ts";
import { formatMiB } from "../format.ts";
import { nameOfUrl } from "../model-address.ts";

/** Models that are kept on this device, beside the one on offer. */
export interface KeptList {
  readonly element: HTMLElement;
  render(copies: readonly KeptCopy[]): void;
}

/** Each with its size, a button that loads it, and one that deletes it. */
export function createKeptList(load: (url: string) => void, drop: (url: string) => void): KeptList {
  const list = el("ul", { class: "kept-models" });
  const element = el("div", {}, el("p", { class: "caption" }, "Also on this device:"), list);
  let shown: readonly KeptCopy[] | undefined;
  const line = ({ url, storedBytes, totalBytes }: KeptCopy): HTMLElement => {
    const name = nameOfUrl(new URL(url));
    const part = storedBytes < totalBytes ? `${formatMiB(storedBytes)} of ` : "";
    return el(
      "li",
      { class: "load-row" },
      el("span", { title: url }, name),
      el("span", { class: "caption figure" }, `${part}${formatMiB(totalBytes)}`),
      button("Load", () => load(url), { "aria-label": `Load ${name} from this device` }),
      button("Delete", () => drop(url), { "aria-label": `Delete ${name} from this device` }),
    );
  };
  return {
    element,
    render(copies) {
      if (copies === shown) return;
      shown = copies;
      setHidden(element, copies.length === 0);
      list.replaceChildren(...copies.map(line));
    },
  };
}
