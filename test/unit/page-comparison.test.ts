import { expect, test } from "vitest";
import { commonTokens, createComparison } from "../../demo/comparison.ts";
import { createTurn } from "../../demo/conversation.ts";
import { DEFAULT_SETTINGS } from "../../demo/settings.ts";

test("answers go together up to the first token that differs", () => {
  expect(commonTokens([1, 2, 3], [1, 2, 3])).toBe(3);
  expect(commonTokens([1, 2, 3], [1, 2])).toBe(2);
  expect(commonTokens([1, 2, 3], [1, 9, 3])).toBe(1);
  expect(commonTokens([4], [5])).toBe(0);
  expect(commonTokens([], [5])).toBe(0);
});

test("a full cache is compared with what the settings ask for, stored in the same type", () => {
  const turn = createTurn(1, { text: "Why?", documents: [] });
  const settings = { ...DEFAULT_SETTINGS, policy: "tova", budget: 96, kvDtype: "f32" } as const;
  const { sides, state } = createComparison(turn, settings, 30);
  expect(sides.map(({ label }) => label)).toEqual(["Full cache", "TOVA, 96\u00a0tokens a layer"]);
  expect(sides.map(({ cache }) => cache)).toEqual([
    { policy: "full", kvDtype: "f32" },
    { policy: "tova", kvDtype: "f32", budget: 96 },
  ]);
  expect(state).toBe("running");
});
