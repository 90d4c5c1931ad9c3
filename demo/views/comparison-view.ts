import type { Agreement, Comparison, ComparisonSide } from "../comparison.ts";
import { el, setHidden, setText } from "../dom.ts";
import { formatDuration, formatMiB, formatTokens, formatTokenRate, UNKNOWN } from "../format.ts";

/** Two answers in two columns, with what each took, and where they part. */
export interface ComparisonView {
  readonly element: HTMLElement;
  render(comparison: Comparison | undefined): void;
}

const FIGURES = ["KV cache", "KV peak", "Read", "First token", "Wrote"] as const;

/** An empty view: nothing was compared yet. */
export function createComparisonView(): ComparisonView {
  const columns = [createColumn(), createColumn()] as const;
  const status = el("p", { class: "caption", role: "status" });
  const element = el(
    "section",
    { class: "comparison", "aria-label": "Compared with the full cache" },
    el("div", { class: "comparison-columns" }, ...columns.map((column) => column.element)),
    status,
  );
  setHidden(element, true);
  return {
    element,
    render(comparison) {
      setHidden(element, comparison === undefined);
      if (comparison === undefined) return;
      columns.forEach((column, at) =>
        column.render(comparison.sides[at] as ComparisonSide, comparison.agreement),
      );
      setText(status, statusOf(comparison));
    },
  };
}

function createColumn(): {
  readonly element: HTMLElement;
  render(side: ComparisonSide, agreement: Agreement | undefined): void;
} {
  const title = el("h3", {});
  const same = document.createTextNode("");
  const other = el("mark", {});
  const values = FIGURES.map(() => el("dd", { class: "figure" }, UNKNOWN));
  const element = el(
    "div",
    { class: "comparison-column" },
    title,
    el("p", { class: "comparison-text", "aria-live": "off" }, same, other),
    el(
      "dl",
      { class: "comparison-figures" },
      ...FIGURES.map((name, at) => el("div", {}, el("dt", {}, name), values[at] as HTMLElement)),
    ),
  );
  return {
    element,
    render(side, agreement) {
      setText(title, side.label);
      const shared = agreement === undefined ? side.text : agreement.text;
      if (same.data !== shared) same.data = shared;
      setText(other, side.text.slice(shared.length));
      const { figures, kv } = side;
      const { readTokens, readTokensPerSecond, firstTokenMs } = figures;
      const texts = [
        kv && formatMiB(kv.allocated),
        kv && formatMiB(kv.peak),
        countAndRate(readTokens, readTokensPerSecond),
        firstTokenMs && formatDuration(firstTokenMs),
        countAndRate(figures.wroteTokens, figures.wroteTokensPerSecond),
      ];
      values.forEach((place, at) => setText(place, texts[at] || UNKNOWN));
    },
  };
}

function countAndRate(tokens: number | undefined, perSecond: number | undefined): string {
  if (tokens === undefined) return UNKNOWN;
  return [formatTokens(tokens), perSecond && formatTokenRate(perSecond)]
    .filter(Boolean)
    .join(" · ");
}

function statusOf({ state, sides, agreement, problem }: Comparison): string {
  switch (state) {
    case "running": {
      const side = sides.find((one) => one.state !== "done");
      if (side === undefined || side.state === "waiting") return "Comparing…";
      return `${side.label}: ${side.state === "reading" ? "reading the conversation" : "writing"}…`;
    }
    case "stopped":
      return "The comparison was stopped.";
    case "failed":
      return `The comparison ended: ${problem ?? ""}`;
    case "done":
      return agreement === undefined ? "" : agreementText(agreement);
    default:
      return state satisfies never;
  }
}

function agreementText({ tokens, whole }: Agreement): string {
  if (whole) return `Both answers are the same, token for token (${formatTokens(tokens)}).`;
  if (tokens === 0) return "They differ from the first token on.";
  return `The same for ${formatTokens(tokens)}; what follows differs and is underlined.`;
}
