import { afterAll, beforeAll, expect, test } from "vitest";
import { percentile } from "../../src/profile/kernel-stats.ts";
import { recordMainThread } from "./replay/main-thread.ts";
import { LONG_RUN } from "./replay/runs.ts";
import {
  ask,
  type BuiltSite,
  loadTiny,
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

/**
 * The aim, on a machine that does nothing else. Times are a core's own, not the wall's, but whoever shares
 * the core still costs it its caches: so twice the aim is what fails, for the best of three.
 */
const AIM = { p95Ms: 8, taskMs: 50 } as const;
const ATTEMPTS = 3;

test("nothing shifts while an answer is read, written and ended, nor when one begins to write", async () => {
  const watched = await openWatched(site, {
    prepare: (page) => replayRuns(page, { ...LONG_RUN, answerTokens: 200 }),
    init: watchShifts,
  });
  const { page } = watched;
  await loadTiny(page);
  // All that can stand under an answer: it may be gone on with, and says why it ended.
  await page.getByLabel("Longest answer").fill("150");
  await page.evaluate(() => (globalThis as unknown as { shifts: string[] }).shifts.splice(0));
  await ask(page, "What does a terrace keep?");
  const heights = (): Promise<number[]> =>
    page
      .locator(".turn:last-child")
      .locator(".turn-foot, .turn-row")
      .evaluateAll((parts) => parts.map((part) => part.getBoundingClientRect().height));
  await turnIs(page, "reading");
  const atFirst = await heights();
  await turnIs(page, "writing");
  expect(await heights()).toEqual(atFirst);
  await turnIs(page, "done");
  expect(await heights()).toEqual(atFirst);
  await page.getByRole("button", { name: "Continue" }).waitFor();
  const composer = async (): Promise<number | undefined> =>
    (await page.locator("#composer").boundingBox())?.height;
  const before = await composer();
  await page.getByRole("textbox", { name: "Your question" }).fill("And then?");
  await expect.poll(() => page.locator("#forecast").innerText()).toContain("Will read");
  expect(await composer()).toBe(before);
  const shifts = await page.evaluate(() => (globalThis as unknown as { shifts: string[] }).shifts);
  expect(shifts).toEqual([]);
  await watched.close();
});

/** In the page: notes what has moved, but for what a key or a click has just caused, and what an answer pushes. */
function watchShifts(): void {
  type Box = DOMRectReadOnly;
  type Shift = PerformanceEntry & {
    hadRecentInput: boolean;
    value: number;
    sources: { node: Node | null; previousRect: Box; currentRect: Box }[];
  };
  const shifts: string[] = [];
  Object.assign(globalThis, { shifts });
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries() as Shift[]) {
      if (entry.hadRecentInput) continue;
      for (const { node, previousRect: a, currentRect: b } of entry.sources) {
        // What follows the answer goes down as it grows.
        if (node instanceof Element && node.matches(".turn:last-child > .answer ~ *")) continue;
        const { id, className } = (node ?? {}) as Partial<Element>;
        const boxes = [a, b].map(({ x, y, width, height }) => `${x},${y} ${width}x${height}`);
        shifts.push(
          `${entry.value.toFixed(4)} ${node?.nodeName}#${id}.${className} ${boxes.join(" > ")}`,
        );
      }
    }
  }).observe({ type: "layout-shift", buffered: true });
}

test("the chat page stays smooth while a run is replayed at 200 tokens/s", async () => {
  const watched = await openWatched(site, { prepare: (page) => replayRuns(page, LONG_RUN) });
  const { page } = watched;
  await loadTiny(page);
  const found: { p95: number; longest: number }[] = [];
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const work = await recordMainThread(site.browser, page, async () => {
      await ask(page, "What does a terrace keep?");
      await turnIs(page, "done");
    });
    const answer = page.locator(".turn:last-child .figure-wrote dd");
    expect(await answer.innerText()).toContain(`${LONG_RUN.answerTokens}\u00a0tokens`);
    // It was drawn all along: several frames for each refresh of the panel.
    expect(work.frames.length).toBeGreaterThan(50);
    const p95 = percentile(work.frames, 0.95);
    found.push({ p95, longest: work.longestTaskMs });
    console.info(
      `replayed run: ${work.frames.length} frames, main thread ${percentile(work.frames, 0.5).toFixed(1)} ms a frame, ` +
        `p95 ${p95.toFixed(1)} ms; longest task ${work.longestTaskMs.toFixed(1)} ms (${work.longestTaskWallMs.toFixed(1)} ms on the wall)`,
    );
    if (p95 < AIM.p95Ms && work.longestTaskMs < AIM.taskMs) break;
  }
  expect(Math.min(...found.map(({ p95 }) => p95))).toBeLessThan(2 * AIM.p95Ms);
  expect(Math.min(...found.map(({ longest }) => longest))).toBeLessThan(AIM.taskMs);
  await watched.close();
});
