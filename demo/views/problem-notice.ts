import { button, el, icon } from "../dom.ts";
import type { Problem, Remedy } from "../problem.ts";

const LABELS: Readonly<Record<Remedy, string>> = {
  "load-again": "Load the model again",
  "choose-file": "Open another file",
  "answer-again": "Answer again",
  "shorten-question": "Shorten the question",
  "ask-in-new-conversation": "Ask in a new conversation",
};

/** What happened, what is safe, what to do, and one button that does it. */
export function problemNotice(problem: Problem, onRemedy: (remedy: Remedy) => void): HTMLElement {
  return el(
    "section",
    { class: "notice notice-error", role: "alert" },
    el("h2", {}, icon("error"), problem.title),
    el("p", { class: "notice-happened" }, problem.happened),
    el("p", {}, problem.safe),
    el("p", {}, problem.advice),
    button(LABELS[problem.remedy], () => onRemedy(problem.remedy), { class: "primary" }),
  );
}
