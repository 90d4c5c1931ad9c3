import { isBusy } from "../chat-state.ts";
import type { Chat } from "../chat.ts";
import type { Question, TextDocument } from "../conversation.ts";
import { button, byId, setHidden, setText } from "../dom.ts";
import { documentChip } from "./document-chip.ts";
import { connectDraftForecast } from "./draft-forecast.ts";

/** A paste longer than this becomes a document. */
const LONG_PASTE = 2500;

/** The question, the button that sends it or stops the answer, and the length of the answer. */
export interface Composer {
  render(): void;
  /** Put a question before what is drafted already, and go there. */
  write(question: Question): void;
  addDocument(document: TextDocument): void;
  /** Go to the question. */
  focus(): void;
}

/** Connect the composer that stands in the page; `editLast` opens the last question for changing. */
export function connectComposer(chat: Chat, editLast: () => void): Composer {
  const form = byId("composer", HTMLFormElement);
  const question = byId("question", HTMLTextAreaElement);
  const maxTokens = byId("max-tokens", HTMLInputElement);
  const send = byId("send", HTMLButtonElement);
  const stop = byId("stop", HTMLButtonElement);
  const keys = byId("keys", HTMLElement);
  const undo = byId("undo", HTMLElement);
  const chips = byId("documents", HTMLElement);
  const sendKeys = keys.textContent;
  const undoButton = button("Undo", () => chat.undo());
  let draft: Omit<Question, "text"> = { documents: [] };
  let shownUndo: unknown;
  const forecast = connectDraftForecast(chat, () => ({ ...draft, text: question.value.trim() }));

  const setDraft = (next: Omit<Question, "text">): void => {
    draft = next;
    chips.replaceChildren(
      ...draft.documents.map((document) => {
        const remove = (): void => {
          setDraft({ documents: draft.documents.filter((other) => other !== document) });
          question.focus();
        };
        const chip = documentChip(document, undefined, remove);
        void chat.countTokens(document.text).then((tokens) => {
          if (tokens !== undefined) chip.replaceWith(documentChip(document, tokens, remove));
        });
        return chip;
      }),
    );
    forecast.update();
  };

  /** For the next question, and for making the last answer again. */
  const takeLimit = (): void => {
    if (!maxTokens.validity.valid) return;
    chat.maxTokens = maxTokens.value === "" ? undefined : maxTokens.valueAsNumber;
  };

  const submit = (): void => {
    const text = question.value.trim();
    if ((text === "" && draft.documents.length === 0) || !form.reportValidity()) return;
    takeLimit();
    if (!chat.ask({ ...draft, text })) return;
    question.value = "";
    setDraft({ documents: [] });
    question.focus();
  };

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    submit();
  });
  maxTokens.addEventListener("input", takeLimit);
  question.addEventListener("input", () => forecast.update());
  question.addEventListener("keydown", (event) => {
    // While an input method composes, keys belong to it (keyCode 229 is how Safari says so).
    if (event.isComposing || event.keyCode === 229) return;
    if (event.key === "ArrowUp" && question.value === "") {
      event.preventDefault();
      editLast();
    } else if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      submit();
    }
  });
  question.addEventListener("paste", (event) => {
    const text = event.clipboardData?.getData("text/plain") ?? "";
    if (text.length <= LONG_PASTE) return;
    event.preventDefault();
    setDraft({ ...draft, documents: [...draft.documents, { name: "Pasted text", text }] });
  });
  stop.addEventListener("click", (event) => {
    // The second click of a double click on "Send" lands here: it isn't meant.
    if (event.detail > 1) return;
    chat.stop();
    question.focus();
  });

  return {
    render() {
      const { device, model } = chat.state;
      const answering = isBusy(chat.state);
      setHidden(send, answering);
      setHidden(stop, !answering);
      setText(keys, answering ? "Esc stops the answer" : sendKeys);
      const usable = device !== undefined && device.problem === undefined;
      for (const control of [question, maxTokens, send]) control.disabled = !usable;
      if (model.step === "ready") maxTokens.max = String(model.engine.config.contextLength);
      forecast.update();
      if (shownUndo === chat.state.undo) return;
      shownUndo = chat.state.undo;
      const said = chat.state.undo?.said;
      undo.replaceChildren(...(said === undefined ? [] : [`${said} `, undoButton]));
    },
    write(given) {
      question.value =
        question.value === "" ? given.text : `${given.text}\n\n${question.value}`.trim();
      const { documents, needle } = given;
      setDraft({
        documents: [...documents, ...draft.documents],
        ...(needle === undefined ? {} : { needle }),
      });
      question.focus();
    },
    addDocument(document) {
      setDraft({ ...draft, documents: [...draft.documents, document] });
      question.focus();
    },
    focus: () => question.focus(),
  };
}
