import type { Chat } from "../chat.ts";
import type { Question } from "../conversation.ts";
import { byId, setText } from "../dom.ts";

/** A draft is looked at when nothing was typed for so long: counting tokens of a document takes a moment. */
const PAUSE_MS = 300;

/** The line under the question that says what sending it will cost. */
export interface DraftForecast {
  /** The draft, or what its cost depends on, may have changed. */
  update(): void;
}

/** @param draft what would be sent now */
export function connectDraftForecast(chat: Chat, draft: () => Question): DraftForecast {
  const place = byId("forecast", HTMLElement);
  let timer: ReturnType<typeof setTimeout> | undefined;
  let shownFor: readonly unknown[] = [];

  return {
    update() {
      const question = draft();
      const { model, settings, turns, held } = chat.state;
      const asked = [question.text, question.documents];
      const dependsOn = [...asked, model.step, settings, turns.length, held];
      if (dependsOn.every((value, index) => value === shownFor[index])) return;
      shownFor = dependsOn;
      clearTimeout(timer);
      const isEmpty = question.text === "" && question.documents.length === 0;
      if (isEmpty || model.step !== "ready") return setText(place, "");
      timer = setTimeout(() => {
        void chat.foretell(question).then((text) => {
          if (shownFor === dependsOn) setText(place, text ?? "");
        });
      }, PAUSE_MS);
    },
  };
}
