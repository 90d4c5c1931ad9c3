import type { ChatState } from "./chat-state.ts";
import { byId, setText } from "./dom.ts";
import { formatTokens } from "./format.ts";

/** Connect the place where screen readers hear what a glance would show. */
export function connectAnnouncer(): { render(state: ChatState): void } {
  const place = byId("announcer", HTMLElement);
  return { render: (state) => setText(place, announcementOf(state)) };
}

function announcementOf({ model, turns, comparison }: ChatState): string {
  if (model.step === "loading") return `Loading ${model.choice.name}.`;
  if (comparison?.state === "running") return "Comparing with the full cache.";
  const turn = turns.at(-1);
  if (turn === undefined) return model.step === "ready" ? "The model is ready." : "";
  switch (turn.state) {
    case "waiting":
      return "The question waits for the model.";
    case "reading":
      return "Reading the conversation.";
    case "writing":
      return "Writing the answer.";
    case "done":
      return `Answer complete, ${formatTokens(turn.figures.wroteTokens ?? 0)}.`;
    case "stopped":
      return "Stopped.";
    case "failed":
      return "The answer failed.";
    default:
      return turn.state satisfies never;
  }
}
