import { el, setHidden, setText } from "../dom.ts";
import { fitsText, type Forecast, forecastOffer } from "../forecast.ts";
import { formatMiB, formatMiBNumber, formatTokens, UNKNOWN } from "../format.ts";
import type { Settings } from "../settings.ts";
import { selectField } from "./fields.ts";

/** What the model on offer will take of the GPU's memory, by purpose, before anything is loaded. */
export interface ForecastCard {
  readonly element: HTMLElement;
  render(settings: Settings): void;
}

/** Browsers don't tell how much memory a GPU has: the user does. */
const LIMITS_MIB = ["128", "256", "512", "1024", "2048", "4096"] as const;

/** Make the table; it follows the settings. */
export function createForecastCard(): ForecastCard {
  const caption = el("caption", {});
  const row = (label: string): readonly [HTMLElement, HTMLElement, HTMLElement] => {
    const [after, peak] = [el("td", {}), el("td", {})];
    return [el("tr", {}, el("th", { scope: "row" }, label), after, peak), after, peak];
  };
  const rows = {
    weights: row("Weights"),
    kv: row("KV cache"),
    rest: row("Activations and the rest"),
    total: row("All GPU memory"),
  };
  const full = el("p", { class: "caption figure forecast-full" });
  const problem = el("p", { class: "caption" });
  const verdict = el("output", { class: "caption forecast-fits" });
  let limit: (typeof LIMITS_MIB)[number] = "512";
  let shownFor: Settings | undefined;
  let settings: Settings | undefined;
  const limitField = selectField(
    "GPU memory to stay within",
    LIMITS_MIB.map((mib) => [mib, formatMiB(Number(mib) * 2 ** 20).replace(".0", "")]),
    (value) => {
      limit = value;
      judge();
    },
  );
  limitField.render(limit);
  const head = (text: string): HTMLElement => el("th", { scope: "col" }, text);
  const table = el(
    "table",
    { class: "numbers" },
    caption,
    el("thead", {}, el("tr", {}, head("Purpose"), head("After reading"), head("At its peak"))),
    el("tbody", {}, ...Object.values(rows).map(([line]) => line)),
  );
  const element = el(
    "div",
    { class: "forecast" },
    table,
    full,
    problem,
    limitField.element,
    verdict,
  );

  const judge = (): void => {
    if (settings !== undefined) setText(verdict, fitsText(settings, Number(limit) * 2 ** 20));
  };
  const fill = ({ plan, tokens }: Forecast): void => {
    const { kv, weights, total, peak } = plan;
    setText(caption, `Predicted GPU memory, prompt of ${formatTokens(tokens)}, MiB`);
    const put = (name: keyof typeof rows, after: number, most: number): void => {
      setText(rows[name][1], formatMiBNumber(after));
      setText(rows[name][2], formatMiBNumber(most));
    };
    put("weights", weights, weights);
    put("kv", kv.final, kv.peak);
    put("rest", total - weights - kv.final, peak - weights - kv.peak);
    put("total", total, peak);
    const text = plan.evicts ? `A full KV cache would have ${formatMiB(kv.full)}.` : UNKNOWN;
    setText(full, text);
    setHidden(full, !plan.evicts);
  };

  return {
    element,
    render(next) {
      if (next === shownFor) return;
      shownFor = settings = next;
      const result = forecastOffer(next);
      const failed = "problem" in result;
      setHidden(table, failed);
      setText(problem, failed ? result.problem : "");
      setHidden(problem, !failed);
      setHidden(verdict, failed);
      if (failed) return;
      fill(result);
      judge();
    },
  };
}
