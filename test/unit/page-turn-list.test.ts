import { expect, test } from "vitest";
import { createChatState } from "../../demo/chat-state.ts";
import { DEFAULT_SETTINGS } from "../../demo/settings.ts";
import { createTurnList } from "../../demo/turn-list.ts";

test("a document that was cut comes back by undoing, and how much was cut is said", () => {
  const offered = { name: "a", source: new URL("https://models.test/a.gguf") };
  const state = createChatState(offered, DEFAULT_SETTINGS);
  const list = createTurnList(state, (patch) => Object.assign(state, patch));
  const document = { name: "report.md", text: "x".repeat(90_000) };
  list.add({ text: "why?", documents: [document, { name: "short", text: "y" }] });
  list.cut([
    { name: "report.md", text: document.text.slice(0, 31_250) },
    { name: "short", text: "y" },
  ]);
  expect(state.turns[0]?.documents[0]?.text).toHaveLength(31_250);
  expect(state.undo?.said).toBe("report.md was cut from 90,000 to 31,250 characters.");
  list.undo();
  expect(state.turns).toHaveLength(1);
  expect(state.turns[0]?.documents[0]).toEqual(document);
});
