import { type Turn } from "../conversation.ts";
import { copyText } from "../copy-text.ts";
import { button, el, setHidden, setText } from "../dom.ts";
import { createMarkdownView } from "../markdown/markdown-view.ts";
import type { Problem, Remedy } from "../problem.ts";
import { costText, type ReadingCost } from "../reading-cost.ts";
import { documentChip } from "./document-chip.ts";
import { createComparisonView } from "./comparison-view.ts";
import { createKeptView } from "./kept-view.ts";
import { problemNotice } from "./problem-notice.ts";
import { createTurnFigures } from "./turn-figures.ts";
import { createVersionPicker } from "./version-picker.ts";
import { type ChatState, isBusy } from "../chat-state.ts";

/** A question and its answer in the thread. */
export interface TurnView {
  readonly element: HTMLElement;
  /** @param isLast it is the last turn; @param isFree nothing is being answered, and a model may answer */
  render(state: ChatState, turn: Turn, isLast: boolean, isFree: boolean): void;
  /** Open the question for changing. */
  edit(): void;
  focusVersions(step: -1 | 1): void;
}

export interface TurnActions {
  answerAgain(): void;
  goOn(): void;
  compare(): void;
  /** False: an answer is being made, and nothing was changed. */
  edit(turn: Turn, text: string): boolean;
  remove(turn: Turn): void;
  showVersion(turn: Turn, step: -1 | 1): void;
  costOf(turn: Turn): Promise<ReadingCost | undefined>;
  remedy(remedy: Remedy): void;
}

/** Make the view of one turn. */
export function createTurnView(turn: Turn, actions: TurnActions): TurnView {
  const markdown = createMarkdownView();
  const answer = el("div", { class: "answer" }, markdown.element);
  const status = el("p", { class: "turn-status", "aria-live": "off" });
  const again = button("Answer again", () => actions.answerAgain());
  const goOn = button("Continue", () => actions.goOn());
  const compare = button("Compare with the full cache", () => actions.compare());
  const copied = el("span", { class: "copied", role: "status" });
  const copy = button("Copy", () => {
    void copyText(turn.answer).then((done) =>
      setText(copied, done ? "Copied." : "This page may not copy; select the text instead."),
    );
  });
  const edit = button("Edit", () => openEditor());
  const remove = button("Delete", () => actions.remove(turn));
  const cost = el("p", { class: "caption turn-cost" });
  const bar = el("progress", { class: "read-bar", max: "1", "aria-label": "Reading" });
  const figures = createTurnFigures();
  const notice = el("div", {});
  const question = el("p", { class: "question" }, turn.text);
  const comparison = createComparisonView();
  const versions = createVersionPicker((step) => actions.showVersion(turn, step));
  const kept = createKeptView(turn);
  const element = el(
    "article",
    { class: "turn" },
    el("h2", { class: "speaker" }, "You"),
    ...turn.documents.map((document) => documentChip(document)),
    question,
    el("h2", { class: "speaker" }, "Answer"),
    answer,
    el("div", { class: "turn-foot", "aria-live": "off" }, bar, figures.element),
    el("p", { class: "turn-row turn-said" }, status, versions.element, copied),
    el("p", { class: "turn-row" }, goOn, again, compare, copy, edit, remove),
    cost,
    notice,
    comparison.element,
    kept.element,
  );
  let attempt = 0;
  let shownProblem: Problem | undefined;

  function openEditor(): void {
    const box = el("textarea", { class: "editor", "aria-label": "Edit the question", rows: "3" });
    box.value = turn.text;
    const done = (): void => {
      editor.replaceWith(question);
      edit.focus();
    };
    const send = (): void => {
      const words = box.value.trim();
      if (words === "" && turn.documents.length === 0) return;
      if (actions.edit(turn, words)) return done();
      setText(refused, "Not sent yet: an answer is being made. Wait for it, or stop it.");
    };
    const said = el("span", { class: "caption" });
    const refused = el("span", { class: "copied", role: "status" });
    const editor = el(
      "div",
      { class: "question-editor" },
      box,
      el(
        "p",
        { class: "load-row" },
        button("Send the changed question", send, { class: "primary" }),
        button("Leave it", done),
        said,
        refused,
      ),
    );
    box.addEventListener("keydown", (event) => {
      if (event.isComposing || event.keyCode === 229) return;
      if (event.key === "Escape") {
        event.stopPropagation();
        done();
      } else if (event.key === "Enter" && !event.shiftKey) {
        event.preventDefault();
        send();
      }
    });
    question.replaceWith(editor);
    box.focus();
    void actions.costOf(turn).then((reading) => {
      if (reading !== undefined) setText(said, `Sending ${costText(reading)}.`);
    });
  }

  return {
    element,
    edit: openEditor,
    focusVersions: (step) => versions.focus(step),
    render(state, _, isLast, isFree) {
      if (attempt !== turn.attempt) markdown.clear();
      attempt = turn.attempt;
      const open = turn.state === "reading" || turn.state === "writing";
      markdown.show(turn.answer, !open);
      answer.setAttribute("aria-busy", String(open));
      element.dataset["state"] = turn.state;
      element.toggleAttribute("data-empty", turn.answer === "");
      bar.value = (turn.figures.readTokens ?? 0) / (turn.figures.totalTokens ?? 1);
      setText(status, statusOf(turn));
      setHidden(again, !(isLast && isFree && turn.problem === undefined));
      setHidden(goOn, !(isLast && isFree && canGoOn(turn, state.model)));
      const compares = turn.state === "done" && state.settings.policy !== "full";
      setHidden(compare, !(isLast && isFree && compares) || state.model.step !== "ready");
      setHidden(copy, open || turn.answer === "");
      setHidden(edit, !isFree || open);
      setHidden(remove, !isFree || open);
      versions.render(turn, !isBusy(state));
      figures.render(turn);
      comparison.render(state.comparison?.turn === turn ? state.comparison : undefined);
      kept.render(state, isLast && isFree);
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

/** Only the model that began an answer has the tokens to write on with. */
function canGoOn(turn: Turn, model: ChatState["model"]): boolean {
  const { state, answer, cutAtLimit, answeredBy } = turn;
  const isUnfinished = answer !== "" && (state === "stopped" || cutAtLimit);
  return isUnfinished && model.step === "ready" && model.choice.name === answeredBy;
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
      if (turn.answeredBy === undefined) return "Part of the sample, not written by a model.";
      return turn.cutAtLimit ? "Ended at the longest answer that was allowed." : "";
    case "stopped":
      return turn.answer === "" ? "Stopped before the first word." : "Stopped.";
    case "failed":
      return turn.answer === "" ? "Not answered." : "Interrupted.";
    default:
      return turn.state satisfies never;
  }
}
