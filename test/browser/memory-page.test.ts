import { writeFile, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Locator, Page } from "playwright-core";
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
import {
  beforeWorker,
  type BuiltSite,
  drawn,
  openBuiltSite,
  openWatched,
  tinyModelPath,
} from "./site.ts";

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
  // Nothing counted beside the ledger of a run that comes out of a file.
  expect(await page.locator("#unaccounted td").first().innerText()).toContain("only known");

  const twin = page.locator("#pyramid .twin tbody tr");
  const lengths = layersAt(trace, trace.end).layers.map(({ length }) => String(length));
  // Drawn with the next frame, which may come after the status.
  const column = (table: Locator, at: number): Promise<(string | null | undefined)[]> =>
    table.evaluateAll((all, index) => all.map((row) => row.children[index]?.textContent), at);
  await expect.poll(() => column(twin, 2)).toEqual(lengths);
  const kept = page.locator("#heatmap .twin tbody tr");
  await expect
    .poll(() => column(kept, 1))
    .toEqual(trace.kept!.map((heads) => String(heads.flat().length)));
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

test("what-if gives the plan's own bytes; with a run, too, the page fits 320 pixels", async () => {
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
  await page.setInputFiles("#run-file", [runFile, runFile]);
  await expect.poll(() => page.locator("#status").innerText()).toContain("2 runs are compared");
  await page.locator("#tokens .t").first().click();
  await page.locator("#token-heads").waitFor();
  expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(320);
  await watched.close();
});

/** Load the tiny model, run a prompt with it, and wait for its end. */
async function runTiny(page: Page): Promise<void> {
  await page.setInputFiles("#model-file", tinyModelPath);
  await expect.poll(() => page.locator("#status").innerText()).toContain("is loaded");
  await page.locator("#prompt").fill("31415926535 ".repeat(20));
  await page.locator("#run-budget").fill("40");
  await page.locator("#run-tokens").fill("8");
  await page.getByRole("button", { name: "Run", exact: true }).click();
  await expect.poll(() => page.locator("#status").innerText()).toBe("Done.");
}

const figure = (page: Page, id: string): Promise<string> =>
  page.locator(`#${id} td`).first().innerText();

/** Colours of the heatmap's columns in layer 0's row, as `r,g,b`, by the position that each begins at. */
function heatmapRow(page: Page, tokens: number): Promise<string[]> {
  return page.evaluate((count) => {
    const canvas = document.querySelector("#heatmap")!.shadowRoot!.querySelector("canvas")!;
    const context = canvas.getContext("2d")!;
    return Array.from({ length: count }, (_, position) => {
      const x = Math.floor(((position + 0.5) * canvas.width) / count);
      const { data } = context.getImageData(x, canvas.height - 4, 1, 1);
      return data[3] === 0 ? "" : data.slice(0, 3).join();
    });
  }, tokens);
}

test("the heatmap's first positions, its window and what was selected differ in colour", async () => {
  const watched = await openWatched(site, { url: memoryUrl(), colorScheme: "light" });
  const { page } = watched;
  const trace = sampleTrace();
  const file = join(folder, "sinks.json");
  await writeFile(file, traceToJson({ ...trace, cache: { ...trace.cache, numSinks: 4 } }));
  await page.setInputFiles("#run-file", file);
  await expect.poll(() => page.locator("#status").innerText()).toContain("sample");
  await page.locator("#heatmap-rows").selectOption("0");
  await drawn(page);
  // The bottom row is head 0: positions 0 to 31, and the window of 8.
  const colours = await heatmapRow(page, 64);
  const kept = trace.kept![0][0];
  expect(colours.flatMap((colour, position) => (colour === "" ? [] : position))).toEqual(kept);
  const [sinks, selected, window] = [
    [0, 4],
    [4, 32],
    [56, 64],
  ].map(([from, to]) => [...new Set(colours.slice(from, to))]);
  expect([sinks, selected, window]).toEqual([["160,91,176"], ["36,86,197"], ["31,138,125"]]);
  await watched.close();
});

test("kernel times that are ticked are measured in a run of this page", async () => {
  const watched = await openWatched(site, { url: memoryUrl() });
  const { page } = watched;
  await page.locator("#kernel-times").check();
  await runTiny(page);
  const kernels = page.locator("#kernels");
  await expect.poll(() => kernels.locator("tbody tr").count()).toBeGreaterThan(3);
  expect(await kernels.locator("p").first().innerText()).toContain("Timestamps differ by at least");
  const names = await kernels.locator("tbody tr th").allInnerTexts();
  expect(names.some((name) => name.includes("attention"))).toBe(true);
  await watched.close();
});

/** Keep what the page puts into DevTools. */
function noteMarks(): void {
  const marks: unknown[][] = [];
  Object.assign(globalThis, { marks });
  console.timeStamp = (...mark: unknown[]) => void marks.push(mark);
}

test("a model runs in a worker, is counted twice alike, and leaves nothing behind", async () => {
  const watched = await openWatched(site, { url: memoryUrl(), init: noteMarks });
  const { page } = watched;
  await page.locator("#devtools").check();
  await runTiny(page);
  const tracks = await page.evaluate(() =>
    (globalThis as unknown as { marks: unknown[][] }).marks.map(([, , , track]) => track),
  );
  expect([...new Set(tracks)].sort()).toEqual(["compress", "decode", "load", "prefill"]);
  const total = await page.locator("#memory-rows tr").nth(7).locator("td").first().innerText();
  expect(Number.parseFloat(total)).toBeGreaterThan(0.5);
  expect(await figure(page, "counted")).toBe(total);
  expect(await figure(page, "unaccounted")).toBe("0\u00a0B");
  await expect.poll(() => page.locator("#tokens .readout").innerText()).toMatch(/[1-9]\d* tokens/);
  // At every moment, not only at the end.
  await page.locator("#timeline .stage").focus();
  for (const key of ["PageDown", "PageDown", "PageDown", "PageDown"]) {
    await page.keyboard.press(key);
    await drawn(page);
    expect(await figure(page, "unaccounted")).toBe("0\u00a0B");
  }
  // A token's ranks come from the engine, and go along with the exported run.
  await page.locator("#tokens .t").nth(3).click();
  await expect
    .poll(() => page.locator("#token-heads td").first().innerText())
    .toMatch(/^(kept|evicted), \d+ of \d+, score /);
  await page.getByRole("button", { name: "Check for leaks" }).click();
  await expect.poll(() => page.locator("#status").innerText()).toContain("No leak");
  expect(await page.locator("#leak-report").isVisible()).toBe(false);
  await watched.close();
});

test("a leak that was planted is found, and named", async () => {
  // A driver that doesn't let go of one kind of buffer: the ledger can't see that.
  const plant = (): void => {
    const { createBuffer } = GPUDevice.prototype;
    GPUDevice.prototype.createBuffer = function (descriptor) {
      const buffer = createBuffer.call(this, descriptor);
      if (descriptor.label === "staged keys") buffer.destroy = () => undefined;
      return buffer;
    };
  };
  const watched = await openWatched(site, {
    url: memoryUrl(),
    prepare: (page) => beforeWorker(page, plant),
  });
  const { page } = watched;
  await runTiny(page);
  expect(await figure(page, "unaccounted")).toMatch(/^[1-9].*KiB/);
  await page.getByRole("button", { name: "Check for leaks" }).click();
  await expect.poll(() => page.locator("#status").innerText()).toMatch(/^Leak: .*KiB in 3 turns/);
  const rows = await page.locator("#leak-rows tr").allInnerTexts();
  // One run, and the three turns of the check.
  expect(rows).toEqual([expect.stringMatching(/^staged keys\t4\t.*\tleft on the GPU$/)]);
  await watched.close();
});
