import { afterAll, beforeAll, expect, test } from "vitest";
import { type BuiltSite, lastAnswer, openBuiltSite, openWatched, turnIs } from "./site.ts";

let site: BuiltSite;

beforeAll(async () => {
  site = await openBuiltSite();
});

afterAll(() => site?.close());

test("the default model answers in the built page, from a sub-folder of a static host", async () => {
  const watched = await openWatched(site);
  const { page } = watched;
  const [foretold = 0] = (await page.locator(".forecast td").allInnerTexts()).map(Number);
  await page.getByRole("button", { name: "Load SmolLM2-135M-Instruct" }).click();
  const figures = page.locator(".load-figures");
  await expect.poll(() => figures.textContent()).toMatch(/^[1-9][\d.]*\sMiB of 93\.8\sMiB/);
  await page.getByRole("heading", { name: "Ask a question" }).waitFor();
  expect(await page.locator("#model-shape").textContent()).toBe(
    "30 layers · 3 KV heads · context of 8,192 tokens",
  );
  // The 4-bit weights alone are this large, as was foretold before the load.
  const [weights = 0] = (await page.locator("#memory-rows td").allInnerTexts()).map(Number);
  expect(Math.abs(foretold / weights - 1)).toBeLessThan(0.02);
  expect(weights).toBeGreaterThan(80);
  expect(weights).toBeLessThan(110);

  await page.getByRole("button", { name: "What does a GPU do?" }).click();
  await page.getByLabel("Longest answer").fill("16");
  await page.getByRole("textbox", { name: "Your question" }).press("Enter");
  await turnIs(page, "writing");
  const seen = new Set<string>();
  await expect
    .poll(
      async () => {
        seen.add(await lastAnswer(page));
        return page.locator(".turn").getAttribute("data-state");
      },
      { interval: 50, timeout: 120_000 },
    )
    .toBe("done");
  const answer = await lastAnswer(page);
  expect(answer).toContain("GPU");
  // It streamed: states on the way are beginnings of the answer.
  for (const part of seen) expect(answer.startsWith(part)).toBe(true);
  expect(seen.size).toBeGreaterThan(2);
  expect(await page.locator(".figure-wrote dd").innerText()).toMatch(
    /^16\stokens · [\d.]+\stokens/,
  );
  await watched.close();
});
