import type { AnswerFigures } from "../answer-figures.ts";
import type { Turn } from "../conversation.ts";
import { button, el, setHidden, setText } from "../dom.ts";
import { formatCount, formatDuration, formatTimeLeft, formatTokenRate } from "../format.ts";
import { formatTokens, UNKNOWN } from "../format.ts";
import type { Problem, Remedy } from "../problem.ts";
import { problemNotice } from "./problem-notice.ts";

/** A question and its answer in the thread. */
export interface TurnView {
  readonly element: HTMLElement;
  /** @param canAnswerAgain it is the last turn, and nothing stands in the way */
  render(turn: Turn, canAnswerAgain: boolean): void;
}

export interface TurnActions {
  answerAgain(): void;
  remedy(remedy: Remedy): void;
}

/** Make the view of one turn. */
export function createTurnView(question: string, actions: TurnActions): TurnView {
  // One text node that only ever grows: the model's words can become nothing but text.
  const text = document.createTextNode("");
  const answer = el("div", { class: "answer" }, text);
  const status = el("p", { class: "turn-status", "aria-live": "off" });
  const again = button("Answer again", () => actions.answerAgain());
  const bar = el("progress", { class: "read-bar", max: "1", "aria-label": "Reading" });
  const figures = createFigures();
  const notice = el("div", {});
  const element = el(
    "article",
    { class: "turn" },
    el("h2", { class: "speaker" }, "You"),
    el("p", { class: "question" }, question),
    el("h2", { class: "speaker" }, "Answer"),
    answer,
    el("div", { class: "turn-foot", "aria-live": "off" }, bar, figures.element),
    el("p", { class: "turn-row" }, status, again),
    notice,
  );
  let attempt = 0;
  let shownProblem: Problem | undefined;

  return {
    element,
    render(turn, canAnswerAgain) {
      if (attempt !== turn.attempt) text.data = "";
      attempt = turn.attempt;
      if (turn.answer.length > text.length) text.appendData(turn.answer.slice(text.length));
      const open = turn.state === "reading" || turn.state === "writing";
      answer.setAttribute("aria-busy", String(open));
      element.dataset["state"] = turn.state;
      element.toggleAttribute("data-empty", turn.answer === "");
      bar.value = (turn.figures.readTokens ?? 0) / (turn.figures.totalTokens ?? 1);
      setText(status, statusOf(turn));
      setHidden(again, !(canAnswerAgain && isUnfinished(turn)));
      figures.render(turn);
      if (shownProblem !== turn.problem) {
        shownProblem = turn.problem;
        notice.replaceChildren(
          ...(shownProblem === undefined
            ? []
            : [problemNotice(shownProblem, (remedy) => actions.remedy(remedy))]),
        );
      }
    },
  };
}

/** Stopped, or failed without a notice that offers something better. */
function isUnfinished({ state, problem }: Turn): boolean {
  return state === "stopped" || (state === "failed" && problem === undefined);
}

function statusOf(turn: Turn): string {
  switch (turn.state) {
    case "waiting":
      return "Waits for the model.";
    case "reading":
      return "Reading the conversation…";
    case "writing":
      return "Writing…";
    case "done":
      return turn.cutAtLimit ? "Ended at the longest answer that was allowed." : "";
    case "stopped":
      return turn.answer === "" ? "Stopped before the first word." : "Stopped.";
    case "failed":
      return turn.answer === "" ? "Not answered." : "Interrupted.";
    default:
      return turn.state satisfies never;
  }
}

/** The three groups of figures, each with its place from the start. */
function createFigures(): { readonly element: HTMLElement; render(turn: Turn): void } {
  const cell = (name: string, label: string): readonly [HTMLElement, HTMLElement] => {
    const value = el("dd", { class: "figure" });
    return [el("div", { class: `figure-cell figure-${name}` }, el("dt", {}, label), value), value];
  };
  const [readCell, read] = cell("read", "Read");
  const [firstCell, first] = cell("first", "First token");
  const [wroteCell, wrote] = cell("wrote", "Wrote");
  return {
    element: el("dl", { class: "figures" }, readCell, firstCell, wroteCell),
    render({ state, figures }) {
      setText(read, readText(figures, state === "reading"));
      const { firstTokenMs, wroteTokens, wroteTokensPerSecond } = figures;
      setText(first, firstTokenMs === undefined ? UNKNOWN : formatDuration(firstTokenMs));
      setText(wrote, countAndRate(wroteTokens, wroteTokensPerSecond));
    },
  };
}

function readText(figures: AnswerFigures, reading: boolean): string {
  const { readTokens, totalTokens, readTokensPerSecond, readMsLeft } = figures;
  if (!reading || readTokens === undefined || totalTokens === undefined) {
    return countAndRate(readTokens, readTokensPerSecond);
  }
  const parts = [`${formatCount(readTokens)} of ${formatTokens(totalTokens)}`];
  if (readTokensPerSecond !== undefined) parts.push(formatTokenRate(readTokensPerSecond));
  if (readMsLeft !== undefined) parts.push(formatTimeLeft(readMsLeft));
  return parts.join(" · ");
}

function countAndRate(tokens: number | undefined, perSecond: number | undefined): string {
  if (tokens === undefined) return UNKNOWN;
  const count = formatTokens(tokens);
  return perSecond === undefined ? count : `${count} · ${formatTokenRate(perSecond)}`;
}
