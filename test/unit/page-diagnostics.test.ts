import { expect, test } from "vitest";
import { createTurn } from "../../demo/conversation.ts";
import { describeRun } from "../../demo/diagnostics.ts";
import { DEFAULT_SETTINGS } from "../../demo/settings.ts";

test("a report has model, settings and figures, and nothing that anybody has written", () => {
  const turn = createTurn(1, {
    text: "my secret question",
    documents: [{ name: "secret.txt", text: "a secret text" }],
  });
  Object.assign(turn, { answer: "a secret answer", state: "done", figures: { wroteTokens: 3 } });
  const report = describeRun({
    model: { step: "none" },
    settings: { ...DEFAULT_SETTINGS, seed: 7, systemPrompt: "a secret role" },
    settingsProblem: "budget must be larger",
    turns: [turn],
  });
  expect(report.split("\n").map((line) => line.split(":")[0])).toEqual([
    "model",
    "settings",
    "system prompt",
    "turns",
    "cache refused",
    "last answer",
  ]);
  expect(report).toContain('"seed":7');
  expect(report).toContain('{"wroteTokens":3}');
  expect(report).not.toContain("secret");
});
