import { openTurn } from "../chat-state.ts";
import type { Chat } from "../chat.ts";
import { byId, setHidden, setText } from "../dom.ts";

/** The question, the button that sends it or stops the answer, and the length of the answer. */
export interface Composer {
  render(): void;
  /** Put a text before what is drafted already, and go there. */
  write(text: string): void;
  /** Go to the question. */
  focus(): void;
}

/** Connect the composer that stands in the page. */
export function connectComposer(chat: Chat): Composer {
  const form = byId("composer", HTMLFormElement);
  const question = byId("question", HTMLTextAreaElement);
  const maxTokens = byId("max-tokens", HTMLInputElement);
  const send = byId("send", HTMLButtonElement);
  const stop = byId("stop", HTMLButtonElement);
  const keys = byId("keys", HTMLElement);
  const sendKeys = keys.textContent;

  const submit = (): void => {
    const text = question.value.trim();
    if (text === "" || !form.reportValidity()) return;
    chat.maxTokens = maxTokens.value === "" ? undefined : maxTokens.valueAsNumber;
    if (!chat.ask(text)) return;
    question.value = "";
    question.focus();
  };

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    submit();
  });
  question.addEventListener("keydown", (event) => {
    // While an input method composes, Enter belongs to it (keyCode 229 is how Safari says so).
    const composing = event.isComposing || event.keyCode === 229;
    if (event.key !== "Enter" || event.shiftKey || composing) return;
    event.preventDefault();
    submit();
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
      const answering = openTurn(chat.state) !== undefined;
      setHidden(send, answering);
      setHidden(stop, !answering);
      setText(keys, answering ? "Esc stops the answer" : sendKeys);
      const usable = device !== undefined && device.problem === undefined;
      for (const control of [question, maxTokens, send]) control.disabled = !usable;
      if (model.step === "ready") maxTokens.max = String(model.engine.config.contextLength);
    },
    write(text) {
      question.value = question.value === "" ? text : `${text}\n\n${question.value}`;
      question.focus();
    },
    focus: () => question.focus(),
  };
}
