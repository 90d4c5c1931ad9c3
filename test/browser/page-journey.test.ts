import { afterAll, beforeAll, expect, test } from "vitest";
import {
  type BuiltSite,
  lastAnswer,
  openBuiltSite,
  openWatched,
  replayRuns,
  turnIs,
} from "./site.ts";

let site: BuiltSite;

beforeAll(async () => {
  site = await openBuiltSite();
});

afterAll(() => site?.close());

test("the default model answers in the built page, from a sub-folder of a static host", async () => {
  const fetched: string[] = [];
  let release = (): void => {};
  const held = new Promise<void>((resolve) => (release = resolve));
  const watched = await openWatched(site, {
    prepare: (page) =>
      // Six pieces come, the others wait.
      page.route("**/models/*.gguf", async (route) => {
        const { range = "" } = route.request().headers();
        if (range !== "bytes=0-1" && fetched.push(range) > 6) await held;
        await route.continue().catch(() => {});
      }),
  });
  const { page } = watched;
  const forecast = page.locator(".forecast td");
  await forecast.first().waitFor(); // once the server has said how large the model is
  const [foretold = 0] = (await forecast.allInnerTexts()).map(Number);
  await page.getByRole("button", { name: "Load SmolLM2-135M-Instruct" }).click();
  const figures = page.locator(".load-figures");
  await expect.poll(() => figures.textContent()).toMatch(/^24\.0\sMiB of 93\.8\sMiB/);
  await page.getByRole("button", { name: "Cancel" }).click();
  await page.getByText(/^24\.0\sMiB of it are on this device from before/).waitFor();
  // What came until then is not fetched again.
  const before = new Set(fetched.splice(0).slice(0, 6));
  release();
  await page.getByRole("button", { name: "Load SmolLM2-135M-Instruct" }).click();
  await page.getByRole("heading", { name: "Ask a question" }).waitFor();
  expect(fetched.length).toBe(24 - before.size);
  expect(fetched.filter((range) => before.has(range))).toEqual([]);
  // From here on no network is needed.
  await page.context().setOffline(true);
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

  // It loads again from its copy; the copy goes when one wants it gone.
  await page.context().setOffline(false);
  fetched.length = 0;
  await page.getByRole("button", { name: "Change the model" }).click();
  await replayRuns(page);
  await page.getByText(/^It is on this device \(93\.8\sMiB\)/).waitFor();
  await page.getByRole("button", { name: "Load SmolLM2-135M-Instruct" }).click();
  await page.getByRole("button", { name: "Answer again" }).waitFor();
  expect(fetched).toEqual([]);
  await page.getByRole("button", { name: "Change the model" }).click();
  await page.getByRole("button", { name: "Delete the copy" }).click();
  await page.getByText(/^It is on this device/).waitFor({ state: "hidden" });
  await watched.close();
});
