import { button, el, icon } from "../dom.ts";
import type { Problem, Remedy } from "../problem.ts";

const LABELS: Readonly<Record<Remedy, string>> = {
  "load-again": "Load the model again",
  "load-with-less": "Load it with half the cache",
  "choose-file": "Open another file",
  "choose-model": "Choose another model",
  "answer-again": "Answer again",
  "cut-document": "Cut the document to fit",
  "shorten-question": "Shorten the question",
  "ask-in-new-conversation": "Ask in a new conversation",
};

/** What happened, what is safe, what to do, and the button that does it; other ways out beside it. */
export function problemNotice(problem: Problem, onRemedy: (remedy: Remedy) => void): HTMLElement {
  return el(
    "section",
    { class: "notice notice-error", role: "alert" },
    el("h2", {}, icon("error"), problem.title),
    el("p", { class: "notice-happened" }, problem.happened),
    el("p", {}, problem.safe),
    el("p", {}, problem.advice),
    el(
      "p",
      { class: "load-row" },
      button(LABELS[problem.remedy], () => onRemedy(problem.remedy), { class: "primary" }),
      ...(problem.others ?? []).map((other) => button(LABELS[other], () => onRemedy(other))),
    ),
  );
}
