import { DEFAULT_MODEL } from "../default-model.ts";
import { button, el, setHidden, setText } from "../dom.ts";
import { formatMiB } from "../format.ts";
import type { KeptCopy, ModelChoice, Offer } from "../chat-state.ts";
import { nameOfUrl } from "../model-address.ts";
import type { Settings } from "../settings.ts";
import { createAddressForm } from "./address-form.ts";
import { createForecastCard } from "./forecast-card.ts";
import { createKeptList } from "./kept-list.ts";

/** The choice of a model: the one on offer with its size, or a file. */
export interface LoadCard {
  readonly element: HTMLElement;
  render(offer: Offer, settings: Settings): void;
}

export interface LoadCardActions {
  loadOffer(): void;
  openFile(): void;
  /** What the user wrote an address or a repository of. */
  loadChoice(choice: ModelChoice): void;
  /** Delete the copy of this address. */
  dropKept(url: string): void;
}

/** Make the card; nothing is downloaded before a button is pressed. */
export function createLoadCard({
  loadOffer,
  openFile,
  loadChoice,
  dropKept,
}: LoadCardActions): LoadCard {
  const load = button(`Load ${DEFAULT_MODEL.name}`, loadOffer, { class: "primary" });
  const size = el("span", { class: "load-size" });
  let shownKept: KeptCopy | undefined;
  const missing = el("p", { class: "caption" });
  const keptText = el("span", { class: "caption" });
  const kept = el(
    "p",
    { class: "load-row" },
    keptText,
    button("Delete the copy", () => shownKept && dropKept(shownKept.url), { class: "quiet" }),
  );
  const forecast = createForecastCard();
  const others = createKeptList(
    (url) => loadChoice({ name: nameOfUrl(new URL(url)), source: new URL(url) }),
    dropKept,
  );
  const element = el(
    "section",
    { class: "card load-card" },
    el("h2", {}, "Load a model to begin"),
    el("p", {}, "It runs on this computer’s GPU. What you write never leaves this page."),
    el("p", { class: "load-row" }, load, el("span", { class: "caption" }, size)),
    missing,
    kept,
    forecast.element,
    el(
      "p",
      { class: "load-row" },
      button("Open a .gguf file", openFile),
      el("span", { class: "caption" }, "or drop one (or safetensors and json files) on the page"),
    ),
    createAddressForm(loadChoice),
    others.element,
  );
  return {
    element,
    render({ bytes, missing: reason, kept: copy, others: copies }, settings) {
      shownKept = copy;
      others.render(copies);
      forecast.render(settings);
      setText(keptText, copy === undefined ? "" : keptWords(copy));
      setHidden(kept, copy === undefined);
      const left = copy === undefined ? bytes : copy.totalBytes - copy.storedBytes;
      const bytesText = left === undefined || left === 0 ? "" : `${formatMiB(left)} to get; `;
      setText(size, `${bytesText}${DEFAULT_MODEL.about}`);
      setText(
        missing,
        reason === undefined
          ? ""
          : `It can’t be had from here: ${reason} Open a file, or give an address, below.`,
      );
      missing.hidden = reason === undefined;
      // A whole copy needs no server.
      load.disabled = reason !== undefined && left !== 0;
    },
  };
}

function keptWords({ storedBytes, totalBytes, isPersisted }: KeptCopy): string {
  if (storedBytes < totalBytes) {
    return `${formatMiB(storedBytes)} of it are on this device from before: the rest will be fetched.`;
  }
  const until = isPersisted ? "" : ", until the browser needs the room";
  return `It is on this device (${formatMiB(totalBytes)})${until}.`;
}
