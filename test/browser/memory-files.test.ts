import { readFile, writeFile, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  layersToCsv,
  type RunTrace,
  traceToChrome,
  traceToJson,
  type TraceEvent,
} from "../../src/profile.ts";
import { sampleTrace } from "../unit/sample-trace.ts";
import { type BuiltSite, openBuiltSite, openWatched, type WatchedPage } from "./site.ts";

let site: BuiltSite;
let folder: string;
let watched: WatchedPage;
let page: Page;

/** One page for all: each test opens files of its own. */
beforeAll(async () => {
  site = await openBuiltSite();
  folder = await mkdtemp(join(tmpdir(), "ziggurat-files-"));
  watched = await openWatched(site, {
    url: new URL("memory.html", site.url).href,
    acceptDownloads: true,
    init: notePerfetto,
  });
  page = watched.page;
});

afterAll(async () => {
  await watched?.close();
  await site?.close();
  await rm(folder, { recursive: true });
});

const status = (): Promise<string> => page.locator("#status").innerText();

/** Open files of these contents, by name. */
async function open(files: Readonly<Record<string, string>>): Promise<void> {
  const paths = Object.keys(files).map((name) => join(folder, name));
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text);
  await page.setInputFiles("#run-file", paths);
}

/** The text of the file that a button saves. */
async function saved(button: string): Promise<string> {
  const [download] = await Promise.all([
    page.waitForEvent("download"),
    page.getByRole("button", { name: button, exact: true }).click(),
  ]);
  return readFile(await download.path(), "utf8");
}

/** In place of Perfetto's page: a window that answers as it does, and keeps what it gets. */
function notePerfetto(): void {
  const got: unknown[] = [];
  const origin = "https://ui.perfetto.dev";
  Object.assign(globalThis, { perfettoGot: got });
  globalThis.open = ((url: string) => {
    got.push(url);
    return {
      postMessage(message: unknown, target: string) {
        if (target !== origin) return;
        got.push(message);
        if (message === "PING")
          dispatchEvent(new MessageEvent("message", { origin, data: "PONG" }));
      },
    };
  }) as unknown as typeof globalThis.open;
}

test("what is exported is the run, and is read back as it was", async () => {
  const run = sampleTrace();
  await open({ "first.json": traceToJson(run) });
  await expect.poll(status).toContain("first.json: sample");
  const json = await saved("Run as JSON");
  expect(JSON.parse(json)).toEqual(run);
  expect(await saved("Layers as CSV")).toBe(layersToCsv(run));
  expect(await saved("Chrome trace events")).toBe(traceToChrome(run));
  await open({ "again.json": json });
  await expect.poll(status).toContain("again.json: sample");
  expect(await saved("Run as JSON")).toBe(json);
});

test("Perfetto gets the trace events, only when it was asked to open", async () => {
  const got = (): Promise<unknown[]> =>
    page.evaluate(() =>
      (globalThis as unknown as { perfettoGot: unknown[] }).perfettoGot.map((message) => {
        const { perfetto } = message as { perfetto?: { buffer: ArrayBuffer } };
        return perfetto === undefined ? message : new TextDecoder().decode(perfetto.buffer);
      }),
    );
  expect(await got()).toEqual([]);
  await page.getByRole("button", { name: "Open in Perfetto" }).click();
  const trace = traceToChrome(sampleTrace());
  await expect.poll(got).toEqual(["https://ui.perfetto.dev", "PING", trace]);
});

test("the GPU of a run is named, with what its buffers use of its limits", async () => {
  expect(await page.locator("#adapter-name").innerText()).toContain("made up (software");
  const [buffer] = await page.locator("#adapter-rows tr").allInnerTexts();
  expect(buffer).toContain("3.8\u00a0MiB of 1,024.0\u00a0MiB (0.4\u00a0%)");
  expect(buffer).toContain("token_embd.weight");
});

test("several runs are laid over each other, with deltas and where the answers part", async () => {
  const [one, two] = [sampleTrace(), sampleTrace()];
  const calls = [{ ...one.calls[0], promptTokens: 60 }];
  const other = two.tokens!.map((token, at) => (at === 62 ? { id: 7, text: "apart" } : token));
  const cache = { ...two.cache, policy: "snapkv" };
  await open({
    "one.json": traceToJson({ ...one, calls }),
    "two.json": traceToJson({ ...two, calls, tokens: other, cache }),
  });
  await expect.poll(status).toContain("2 runs are compared");
  const rows = await page.locator("#compare-rows tr").allInnerTexts();
  expect(rows.find((row) => row.startsWith("Peak of all"))).toContain("(0.0\u00a0%)");
  expect(rows.find((row) => row.startsWith("Tokens that agree"))).toContain("2 of 4");
  expect(rows.find((row) => row.startsWith("First divergence"))).toContain("here “apart”");
  const overlay = page.locator("#compare-overlay");
  const legend = (): Promise<string[]> => overlay.locator(".legend span").allInnerTexts();
  await expect
    .poll(legend)
    .toEqual([expect.stringContaining("1: pyramidkv"), expect.stringContaining("2: snapkv")]);
  expect(await overlay.locator(".plot path").count()).toBe(4);
});

test("measured quality is drawn, cited, and read at the calculator's budget", async () => {
  const documents = [6, 12, 25].map((budget) => ({
    ...{ document: "a", kind: "prose", task: "continuation", policy: "pyramidkv", budget },
    ...{ kl: 3 / budget, agreement: 0.9, rows: 64, deltaNll: 0 },
  }));
  const plan = { model: "a model", promptTokens: 768, documents: 12 };
  await open({
    "quality.json": JSON.stringify({
      format: 1,
      runs: [],
      plan,
      documents,
      passkeys: [],
      speed: [],
    }),
  });
  await expect.poll(status).toContain("measured quality");
  await page.locator("#plan-budget").fill("12%");
  await expect.poll(() => page.locator("#quality-text").innerText()).toContain("0.250 nats");
  expect(await page.locator("#quality-source").innerText()).toContain("1 of 12 documents");
  // The slider sets the budget of the plan, and of the mark.
  await page.locator("#plan-share").focus();
  await page.keyboard.press("ArrowRight");
  await expect.poll(() => page.locator("#plan-budget").inputValue()).toBe("13%");
  await expect
    .poll(() => page.locator("#quality-text").innerText())
    .toMatch(/^pyramidkv at 1[23]\./);
});

test("damaged, foreign and future files say what is wrong, and change nothing", async () => {
  const good = traceToJson(sampleTrace());
  const before = await page.locator("#memory-rows").innerText();
  for (const [name, text, reason] of [
    ["cut.json", good.slice(0, good.length / 2), "the file must be an exported run, which is JSON"],
    ["future.json", good.replace("trace/1", "trace/9"), 'schema must be "ziggurat-trace/1"'],
    ["foreign.json", '{"traceEvents":[]}', "schema must be"],
    ["negative.json", good.replace('"bytes":4000000', '"bytes":-1'), "run.events[0].buffer.bytes"],
    ["unknown.json", good.replace('"type":"alloc"', '"type":"grow"'), "run.events[0].type"],
    ["empty.json", "", "which is JSON"],
  ]) {
    await open({ [name]: text });
    await expect.poll(status).toMatch(new RegExp(`^${name} is no run that can be shown: `));
    expect(await status()).toContain(reason);
    expect(await page.locator("#status").getAttribute("class")).toContain("problem");
  }
  expect(await page.locator("#memory-rows").innerText()).toBe(before);
});

/** Changes of a ledger that are more than a trace keeps. */
const MANY = 100_000;

/** A run of 100,000 changes, 32 layers and 8,192 tokens. */
function hugeRun(): RunTrace {
  const run = sampleTrace();
  const events: TraceEvent[] = [];
  for (let i = 0; i < MANY / 2; i++) {
    const purpose = i % 3 === 0 ? "kv" : "activations";
    const buffer = {
      id: i,
      label: `buffer ${i % 50} keys`,
      purpose,
      bytes: 4096,
      usage: 128,
    } as const;
    events.push({ type: "alloc", buffer: { ...buffer, at: i } });
    if (i >= 400) events.push({ type: "free", id: i - 400, at: i + 0.5 });
  }
  for (let i = MANY / 2 - 400; events.length < MANY; i++) {
    events.push({ type: "free", id: i, at: MANY / 2 });
  }
  const layers = Array.from({ length: 32 }, () => run.samples[1].layers![0]);
  return {
    ...run,
    model: { ...run.model, numLayers: 32, numKvHeads: 8 },
    end: MANY / 2 + 1,
    events,
    samples: [{ at: 1, tokens: 8192, fullBytes: 2 ** 28, layers }],
    tokens: Array.from({ length: 8192 }, (_, id) => ({ id, text: ` w${id}` })),
    kept: layers.map((_, layer) =>
      Array.from({ length: 8 }, (_head, head) =>
        Array.from({ length: 1000 }, (_row, i) => 8 * i + ((head + layer) % 8)),
      ),
    ),
  };
}

test("a run of 100,000 changes opens, and can be scrubbed", async () => {
  await open({ "huge.json": "" });
  await expect.poll(status).toContain("huge.json is no run");
  const text = traceToJson(hugeRun());
  const started = performance.now();
  await open({ "huge.json": text });
  await expect.poll(status).toContain("huge.json: sample");
  const openMs = performance.now() - started;
  const stage = page.locator("#timeline .stage");
  await stage.focus();
  await page.keyboard.press("Home");
  // Scrubbed in the page, so that only its own work is timed.
  const { steps, worstMs, meanMs } = await page.evaluate(async () => {
    const timeline = document.querySelector("zig-timeline")!;
    const target = timeline.shadowRoot!.querySelector(".stage")!;
    const frame = (): Promise<number> => new Promise(requestAnimationFrame);
    const costs: number[] = [];
    const seen = new Set<string>();
    for (let step = 0; step < 12; step++) {
      const before = performance.now();
      target.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight", bubbles: true }));
      costs.push(performance.now() - before);
      await frame();
      await frame();
      seen.add(target.getAttribute("aria-valuetext") ?? "");
    }
    const total = costs.reduce((sum, cost) => sum + cost, 0);
    return { steps: seen.size, worstMs: Math.max(...costs), meanMs: total / costs.length };
  });
  console.info(
    `${MANY} changes, ${(text.length / 2 ** 20).toFixed(1)} MiB: shown after ${openMs.toFixed(0)} ms, ` +
      `a step of scrubbing ${meanMs.toFixed(1)} ms of script (worst ${worstMs.toFixed(1)} ms)`,
  );
  expect(steps).toBe(12);
  // 400 at the end of each change, one more between a buffer that comes and one that goes.
  expect(await page.locator("#buffer-count").innerText()).toMatch(
    /^40[01] buffers, .*the largest 300/,
  );
  // The table of what is kept has every row of 32 layers.
  const kept = page.locator("#heatmap .twin tbody tr");
  expect(await kept.first().locator("td").first().textContent()).toBe("8,000");
  expect(await kept.count()).toBe(32);
});
