import type { Agreement, Comparison, ComparisonSide } from "../comparison.ts";
import { el, setHidden, setText } from "../dom.ts";
import { createMarkdownView } from "../markdown/markdown-view.ts";
import { paint } from "../markdown/painted.ts";
import { formatDuration, formatMiB, formatTokens, UNKNOWN } from "../format.ts";
import { countAndRate, readText } from "./turn-figures.ts";

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
        column.render(comparison.sides[at] as ComparisonSide, comparison),
      );
      setText(status, statusOf(comparison));
    },
  };
}

function createColumn(): {
  readonly element: HTMLElement;
  render(side: ComparisonSide, comparison: Comparison): void;
} {
  const title = el("h3", {});
  const answer = createMarkdownView();
  const parting = el(
    "mark",
    { class: "parting" },
    el("span", { class: "visually-hidden" }, "They differ from here on: "),
  );
  const values = FIGURES.map(() => el("dd", { class: "figure" }, UNKNOWN));
  const bar = el("progress", { class: "read-bar", max: "1", "aria-label": "Reading" });
  const element = el(
    "div",
    { class: "comparison-column" },
    title,
    bar,
    el("div", { class: "comparison-text", "aria-live": "off" }, answer.element),
    el(
      "dl",
      { class: "comparison-figures" },
      ...FIGURES.map((name, at) => el("div", {}, el("dt", {}, name), values[at] as HTMLElement)),
    ),
  );
  let shown: readonly unknown[] = [];

  /** Both begin alike: where that ends stands a mark, and what follows is underlined. */
  const showAnswer = (side: ComparisonSide, { state, agreement }: Comparison): void => {
    const isAnother = shown[0] !== side || shown[1] !== agreement;
    if (isAnother) {
      answer.clear();
      paint(answer.element, []);
    }
    if (isAnother && agreement?.whole === false) {
      answer.show(agreement.text, false);
      answer.place(parting);
    }
    answer.show(side.text, side.state === "done" || state !== "running");
    if (isAnother && parting.isConnected) {
      const { element: endContainer } = answer;
      const endOffset = endContainer.childNodes.length;
      const from = { startContainer: parting, startOffset: parting.childNodes.length };
      paint(endContainer, [["differs", new StaticRange({ ...from, endContainer, endOffset })]]);
    }
    shown = [side, agreement];
  };

  return {
    element,
    render(side, comparison) {
      setText(title, side.label);
      showAnswer(side, comparison);
      const { figures, kv } = side;
      const { readTokens = 0, totalTokens = 1, firstTokenMs } = figures;
      element.dataset["state"] = comparison.state === "running" ? side.state : "done";
      bar.value = readTokens / totalTokens;
      const texts = [
        kv && formatMiB(kv.allocated),
        kv && formatMiB(kv.peak),
        readText(figures, side.state === "reading" && comparison.state === "running"),
        firstTokenMs && formatDuration(firstTokenMs),
        countAndRate(figures.wroteTokens, figures.wroteTokensPerSecond),
      ];
      values.forEach((place, at) => setText(place, texts[at] || UNKNOWN));
    },
  };
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
