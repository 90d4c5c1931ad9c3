import type { Offer } from "../chat-state.ts";
import { DEFAULT_MODEL } from "../default-model.ts";
import { button, el, setText } from "../dom.ts";
import { formatMiB } from "../format.ts";
import type { Settings } from "../settings.ts";
import { createForecastCard } from "./forecast-card.ts";

/** The choice of a model: the one on offer with its size, or a file. */
export interface LoadCard {
  readonly element: HTMLElement;
  render(offer: Offer, settings: Settings): void;
}

export interface LoadCardActions {
  loadOffer(): void;
  openFile(): void;
  loadUrl(url: URL): void;
}

/** Make the card; nothing is downloaded before a button is pressed. */
export function createLoadCard({ loadOffer, openFile, loadUrl }: LoadCardActions): LoadCard {
  const load = button(`Load ${DEFAULT_MODEL.name}`, loadOffer, { class: "primary" });
  const size = el("span", { class: "load-size" });
  const missing = el("p", { class: "caption" });
  const forecast = createForecastCard();
  const address = el("input", {
    type: "url",
    id: "model-address",
    required: true,
    pattern: "https://.+",
    title: "an https address of a .gguf file",
    placeholder: "https://…/model.gguf",
  });
  const byAddress = el(
    "form",
    { class: "load-row" },
    el("label", { class: "caption", for: "model-address" }, "Or from an address"),
    address,
    el("button", { type: "submit" }, "Load"),
  );
  byAddress.addEventListener("submit", (event) => {
    event.preventDefault();
    loadUrl(new URL(address.value));
  });
  const element = el(
    "section",
    { class: "card load-card" },
    el("h2", {}, "Load a model to begin"),
    el("p", {}, "It runs on this computer’s GPU. What you write never leaves this page."),
    el("p", { class: "load-row" }, load, el("span", { class: "caption" }, size)),
    missing,
    forecast.element,
    el(
      "p",
      { class: "load-row" },
      button("Open a .gguf file", openFile),
      el("span", { class: "caption" }, "or drop one anywhere on the page"),
    ),
    byAddress,
  );
  return {
    element,
    render({ bytes, missing: reason }, settings) {
      forecast.render(settings);
      const bytesText = bytes === undefined ? "" : `${formatMiB(bytes)} to get; `;
      setText(size, `${bytesText}${DEFAULT_MODEL.about}`);
      setText(missing, reason === undefined ? "" : `It can’t be had from here: ${reason}`);
      missing.hidden = reason === undefined;
      load.disabled = reason !== undefined;
    },
  };
}
