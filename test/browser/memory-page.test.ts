import { writeFile, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { formatMiB } from "../../src/elements.ts";
import {
  CATEGORIES,
  CATEGORY_NAMES,
  layersAt,
  planMemory,
  MODEL_SHAPES,
  timelineOf,
  traceToJson,
} from "../../src/profile.ts";
import { sampleTrace } from "../unit/sample-trace.ts";
import { type BuiltSite, openBuiltSite, openWatched, tinyModelPath } from "./site.ts";

let site: BuiltSite;
let folder: string;
let runFile: string;

beforeAll(async () => {
  site = await openBuiltSite();
  folder = await mkdtemp(join(tmpdir(), "ziggurat-run-"));
  runFile = join(folder, "run.json");
  await writeFile(runFile, traceToJson(sampleTrace()));
});

afterAll(async () => {
  await site?.close();
  await rm(folder, { recursive: true });
});

const memoryUrl = (): string => new URL("memory.html", site.url).href;

/** How many (layer, head) keep each of the 64 tokens of the sample. */
function keepersOf(kept: readonly (readonly (readonly number[])[])[]): number[] {
  const counts = Array.from({ length: 64 }, () => 0);
  for (const position of kept.flat(2)) counts[position]! += 1;
  return counts;
}

test("an exported run shows the ledger's own bytes, layers and tokens, without a GPU", async () => {
  const watched = await openWatched(site, {
    url: memoryUrl(),
    viewport: { width: 1280, height: 900 },
  });
  const { page } = watched;
  await page.setInputFiles("#run-file", runFile);
  const trace = sampleTrace();
  await expect.poll(() => page.locator("#status").innerText()).toContain("run.json");
  const { bytes, total } = timelineOf(trace);
  const rows = await page.locator("#memory-rows tr").allInnerTexts();
  const expected = CATEGORIES.map((name) =>
    [
      CATEGORY_NAMES[name],
      formatMiB(bytes[name].at(-1)!),
      formatMiB(Math.max(...bytes[name])),
    ].join("\t"),
  );
  expect(rows.slice(0, 7)).toEqual(expected);
  expect(rows[7]).toBe(
    ["Total", formatMiB(total.at(-1)!), formatMiB(Math.max(...total))].join("\t"),
  );
  expect(await page.locator("#unaccounted td").first().innerText()).toBe("0\u00a0B");

  const twin = page.locator("#pyramid .twin tbody tr");
  const lengths = layersAt(trace, trace.end).layers.map(({ length }) => String(length));
  const cells = await twin.evaluateAll((all) => all.map((row) => row.children[2]?.textContent));
  expect(cells).toEqual(lengths);
  const kept = await page
    .locator("#heatmap .twin tbody tr")
    .evaluateAll((all) => all.map((row) => Number(row.children[1]?.textContent)));
  expect(kept).toEqual(trace.kept!.map((heads) => heads.flat().length));
  const counts = keepersOf(trace.kept!);
  const everyone = trace.kept!.flat().length;
  const byAll = counts.filter((count) => count === everyone).length;
  const byNone = counts.filter((count) => count === 0).length;
  expect(byAll).toBeGreaterThan(0);
  await expect
    .poll(() => page.locator("#tokens .readout").innerText())
    .toContain(`64 tokens: ${byAll} kept by all, ${byNone} by none`);

  // Scrubbing by the keyboard sets the moment that the others show.
  await page.locator("#timeline .stage").focus();
  await page.keyboard.press("Home");
  await expect
    .poll(() => page.locator("#memory-rows tr").nth(7).innerText())
    .toContain(formatMiB(0));
  await watched.close();
});

test("a file that is no run says what is wrong with it, and keeps what is shown", async () => {
  const watched = await openWatched(site, { url: memoryUrl() });
  const { page } = watched;
  await page.setInputFiles("#run-file", runFile);
  await expect.poll(() => page.locator("#status").innerText()).toContain("sample");
  const other = join(folder, "other.json");
  await writeFile(other, traceToJson(sampleTrace()).replace("trace/1", "trace/7"));
  await page.setInputFiles("#run-file", other);
  await expect.poll(() => page.locator("#status").innerText()).toContain("schema must be");
  expect(await page.locator("#memory-rows tr").count()).toBe(9);
  await watched.close();
});

test("what-if gives the plan's own bytes, and fits 320 pixels", async () => {
  const watched = await openWatched(site, {
    url: memoryUrl(),
    viewport: { width: 320, height: 700 },
  });
  const { page } = watched;
  await page.locator("#plan-model").selectOption("5");
  const plan = planMemory({
    model: MODEL_SHAPES[5],
    weights: "q4",
    tokens: 8192,
    cache: { policy: "pyramidkv", budget: "512" },
  });
  await expect
    .poll(() => page.locator("#plan-text").innerText())
    .toContain(formatMiB(plan.kv.final));
  expect(await page.locator("#plan-text").innerText()).toContain(formatMiB(plan.kv.full));
  expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(320);
  await watched.close();
});

test("a model runs in a worker, and its run is shown and leaves nothing behind", async () => {
  const watched = await openWatched(site, { url: memoryUrl() });
  const { page } = watched;
  await page.setInputFiles("#model-file", tinyModelPath);
  await expect.poll(() => page.locator("#status").innerText()).toContain("is loaded");
  await page.locator("#run-budget").fill("40");
  await page.locator("#run-tokens").fill("8");
  await page.getByRole("button", { name: "Run", exact: true }).click();
  await expect.poll(() => page.locator("#status").innerText()).toBe("Done.");
  expect(await page.locator("#unaccounted td").first().innerText()).toBe("0\u00a0B");
  await expect.poll(() => page.locator("#tokens .readout").innerText()).toMatch(/[1-9]\d* tokens/);
  await page.getByRole("button", { name: "Check for leaks" }).click();
  await expect.poll(() => page.locator("#status").innerText()).toContain("No leak");
  await watched.close();
});
