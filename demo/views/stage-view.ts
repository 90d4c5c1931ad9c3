import type { Chat } from "../chat.ts";
import { el } from "../dom.ts";
import type { Problem, Remedy } from "../problem.ts";
import { type Reopening, reopeningText } from "../reopening.ts";
import { deviceNotice, softwareNotice } from "./device-notice.ts";
import { createLoadCard } from "./load-card.ts";
import { createLoadSteps } from "./load-steps.ts";
import { problemNotice } from "./problem-notice.ts";
import { createWelcome, type Suggestion } from "./welcome.ts";

/** What stands after the conversation: the device's problem, the way to a model, or a beginning. */
export interface StageView {
  render(): void;
  /** Go to its first button; false where it has none. */
  focus(): boolean;
}

export interface StageActions {
  openFile(): void;
  remedy(remedy: Remedy): void;
  /** Put a question into the composer, after what it goes on with. */
  suggest(suggestion: Suggestion): void;
}

/** @param place holds it */
export function createStageView(place: HTMLElement, chat: Chat, actions: StageActions): StageView {
  const { state } = chat;
  const checking = el("p", { class: "caption" }, "Looking at what this device can do…");
  const card = createLoadCard({
    loadOffer: () => void chat.load(state.offer.choice),
    openFile: actions.openFile,
    loadChoice: (choice) => void chat.load(choice),
    dropKept: (url) => void chat.dropKept(url),
  });
  const steps = createLoadSteps(() => chat.cancelLoad());
  const welcome = createWelcome(actions.suggest, () => chat.bringBack());
  let shown: unknown;

  /** Put `content` in place, unless what it shows is there already. */
  const show = (key: unknown, content: () => readonly Node[]): void => {
    if (shown === key) return;
    shown = key;
    const hadFocus = place.contains(document.activeElement);
    place.replaceChildren(...content());
    // The pressed button is gone: whoever uses the keyboard goes on at its successor.
    if (hadFocus) focus();
  };

  const focus = (): boolean => {
    const first = place.querySelector<HTMLElement>("button:not(:disabled)");
    first?.focus();
    return first !== null;
  };

  return {
    focus,
    render() {
      const { device, model, turns, offer, reopening, settings } = state;
      const told = settings.followUp === "keep" ? reopening : undefined;
      if (device === undefined) return show("checking", () => [checking]);
      const { problem } = device;
      if (problem !== undefined) return show(problem, () => [deviceNotice(problem, device)]);
      switch (model.step) {
        case "none":
          card.render(offer, state.settings);
          return show("none", () =>
            device.isSoftware ? [card.element, softwareNotice(device)] : [card.element],
          );
        case "loading":
          steps.render(model.choice.name, model.figures);
          return show("loading", () => [steps.element]);
        case "failed":
          return show(model.problem, () => [
            problemNotice(withChoice(model.problem), actions.remedy),
          ]);
        case "ready":
          welcome.render(state);
          if (turns.length === 0) return show("ready", () => [welcome.element]);
          return show(told ?? "", () => (told === undefined ? [] : [reopened(told)]));
        default:
          return model satisfies never;
      }
    },
  };
}

/** Whatever has happened to a model, another one may do. */
function withChoice(problem: Problem): Problem {
  return { ...problem, others: [...(problem.others ?? []), "choose-model"] };
}

/** What the next answer will go on from. */
function reopened(reopening: Reopening): HTMLElement {
  const text =
    "why" in reopening
      ? `The next question reads this conversation again: ${reopening.why}.`
      : `This conversation was ${reopeningText(reopening)}. The next question goes on from there.`;
  return el("p", { class: "caption figure", role: "status" }, text);
}
