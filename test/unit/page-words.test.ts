import { afterEach, expect, test, vi } from "vitest";
import { copyText } from "../../demo/copy-text.ts";
import { formatTime } from "../../demo/format.ts";
import { needleVerdict } from "../../demo/needle-verdict.ts";
import { policyLabel } from "../../demo/settings.ts";

afterEach(() => vi.unstubAllGlobals());

test("a time that no date can hold is an unknown one", () => {
  expect(formatTime(Date.UTC(2026, 10, 25, 12))).toMatch(/^25 Nov 2026, /);
  for (const ms of [8.64e15 + 1, 1e300, NaN]) expect(formatTime(ms)).toBe("at an unknown time");
});

test("copying says false where there is no clipboard, and where it is refused", async () => {
  vi.stubGlobal("navigator", {});
  expect(await copyText("x")).toBe(false);
  const writeText = vi.fn<(text: string) => Promise<void>>(() =>
    Promise.reject(new Error("refused")),
  );
  vi.stubGlobal("navigator", { clipboard: { writeText } });
  expect(await copyText("x")).toBe(false);
  writeText.mockImplementation(() => Promise.resolve());
  expect(await copyText("some words")).toBe(true);
  expect(writeText).toHaveBeenLastCalledWith("some words");
});

test("policies have the picker's names", () => {
  expect(policyLabel("pyramidkv")).toBe("PyramidKV");
  expect(policyLabel("of another version")).toBe("of another version");
});

test.each([
  ["pyramidkv", "It is green.", "Move the budget down and answer again, until it breaks."],
  ["pyramidkv", "No idea.", "Move the budget up and answer again."],
  ["full", "It is green.", "Pick a policy that evicts, and answer again."],
  ["full", "No idea.", "The full cache has it all."],
  ["custom", "It is green.", "Write fewer rows by layer and answer again, until it breaks."],
  ["custom", "No idea.", "Write more rows by layer and answer again."],
] as const)("under %s, after “%s”: %s", (policy, answer, next) => {
  const said = needleVerdict({ answer }, "green", 0.5, policy);
  expect(said).toContain("50.0\u00a0%");
  expect(said.endsWith(next)).toBe(true);
});
