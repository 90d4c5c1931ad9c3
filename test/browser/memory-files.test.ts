import { readFile, writeFile, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  layersToCsv,
  timelineOf,
  type RunTrace,
  traceToChrome,
  traceToJson,
  type TraceEvent,
} from "../../src/profile.ts";
import { formatBytes, formatMiB } from "../../src/elements.ts";
import { percentile } from "../../src/profile/kernel-stats.ts";
import { sampleTrace } from "../unit/sample-trace.ts";
import { recordMainThread } from "./replay/main-thread.ts";
import { type BuiltSite, drawn, openBuiltSite, openWatched, type WatchedPage } from "./site.ts";

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

test("a pop-up that is blocked is said, and a page that was closed is asked no more", async () => {
  const perfetto = page.getByRole("button", { name: "Open in Perfetto" });
  await page.evaluate(() => {
    const opened = globalThis.open;
    globalThis.open = () => null;
    addEventListener("open again", () => (globalThis.open = opened), { once: true });
  });
  await perfetto.click();
  await expect.poll(status).toContain("allow pop-ups here");
  expect(await page.locator("#status").getAttribute("class")).toContain("problem");

  // A page that never answers, and is closed after it was asked twice.
  const asked = await page.evaluateHandle(() => {
    const pings: number[] = [];
    globalThis.open = (() => ({
      get closed() {
        return pings.length >= 2;
      },
      postMessage: () => pings.push(performance.now()),
    })) as unknown as typeof globalThis.open;
    return pings;
  });
  await perfetto.click();
  await expect.poll(() => asked.evaluate(({ length }) => length)).toBe(2);
  await page.evaluate(() => new Promise((resolve) => setTimeout(resolve, 500)));
  expect(await asked.evaluate(({ length }) => length)).toBe(2);
  await page.evaluate(() => dispatchEvent(new Event("open again")));
});

test("the GPU of a run is named, with what its buffers use of its limits", async () => {
  expect(await page.locator("#adapter-name").innerText()).toContain("made up (software");
  const [buffer] = await page.locator("#adapter-rows tr").allInnerTexts();
  expect(buffer).toContain("3.8\u00a0MiB of 1,024.0\u00a0MiB (0.4\u00a0%)");
  expect(buffer).toContain("token_embd.weight");
});

test("buffers of one label are counted, and rows that hold nothing are told in bytes", async () => {
  const run = sampleTrace();
  const twin = { id: 99, label: "decode params", purpose: "uniforms", bytes: 256 } as const;
  const events = [
    ...run.events,
    { type: "alloc", buffer: { ...twin, usage: 64, at: 70 } } as const,
  ];
  await open({ "twins.json": traceToJson({ ...run, events }) });
  await expect.poll(status).toContain("twins.json: sample");
  const filter = page.getByLabel("Filter");
  await filter.fill("decode params");
  const rows = page.locator("#buffer-rows tr");
  await expect.poll(() => rows.count()).toBe(2);
  expect(await rows.first().locator("th").innerText()).toBe(
    "decode params (one of 2 with this label)",
  );
  // Of layer 3's 80 rows a head, 16 of the prompt and 5 of the answer are in use.
  await filter.fill("layer 3 keys");
  await expect.poll(() => rows.count()).toBe(1);
  const [, bytes, spare] = await rows.first().locator("td").allInnerTexts();
  expect([bytes, spare]).toEqual([80 * 2 * 128, 59 * 2 * 128].map(formatBytes));
  expect(await page.locator("#buffer-count").innerText()).toContain(
    `of it ${formatMiB(59 * 2 * 128)} spare rows`,
  );
  await filter.fill("");
});

test("a run can be asked: a layer's heads, who keeps a token, how much is free, kernel times", async () => {
  const run = sampleTrace();
  await page.locator("#heatmap-rows").selectOption("1");
  const ofHeads = page.locator("#heatmap .twin tbody tr");
  await expect
    .poll(() => ofHeads.evaluateAll((rows) => rows.map((row) => row.textContent)))
    .toEqual(
      run.kept![1].map(({ length }, head) => `Layer 1, head ${head}${`${length}`.repeat(3)}`),
    );
  await page.locator("#tokens .t").first().click();
  // Each layer's first head keeps it, the second one doesn't.
  await expect
    .poll(() => page.locator("#token-grid").innerText())
    .toBe(
      "Token 0: kept by all heads of layers none; by some of layers " +
        "0 (heads 0), 1 (heads 0), 2 (heads 0), 3 (heads 0).",
    );
  const cells = (): Promise<(string | null)[]> =>
    page.locator("#token-heads td").evaluateAll((all) => all.map((cell) => cell.textContent));
  await expect
    .poll(cells)
    .toEqual(Array.from({ length: 8 }, (_, at) => (at % 2 === 0 ? "kept" : "evicted")));
  const note = page.locator("#token-note");
  expect(await note.innerText()).toContain("No scores of this token");
  // Enter on the token that the keys have moved to; its scores are in the file.
  const heads = [[{ score: 0.25, rank: 3, of: 64 }, null], [{ rank: 1, of: 64 }]];
  await open({ "scored.json": traceToJson({ ...run, scores: [{ position: 1, heads }] }) });
  await expect.poll(status).toContain("scored.json: sample");
  expect(await page.locator("#token-heads").isVisible()).toBe(false);
  await page.locator("#tokens .stage").focus();
  await page.keyboard.press("Home");
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("Enter");
  await expect
    .poll(async () => (await cells()).slice(0, 3))
    .toEqual(["kept, 3 of 64, score 0.25", "kept", "kept, 1 of 64, window"]);
  expect(await note.innerText()).toContain("the last 8 tokens");
  await open({
    "streaming.json": traceToJson({ ...run, cache: { ...run.cache, policy: "streaming-llm" } }),
  });
  await expect.poll(status).toContain("streaming.json: sample");
  await page.locator("#tokens .t").first().click();
  await expect.poll(() => note.innerText()).toContain("goes by place");
  const peak = Math.max(...timelineOf(run).total);
  const limit = page.getByLabel("GPU memory, MiB");
  await limit.fill("16");
  const free = page.locator("#free");
  expect(await free.innerText()).toBe(`${formatMiB(2 ** 24 - peak)} free at peak`);
  await limit.fill("1");
  expect(await free.innerText()).toBe(`${formatMiB(peak - 2 ** 20)} too much at peak`);

  const kernels = page.locator("#kernels");
  expect(await kernels.locator("p").innerText()).toContain(
    "Timestamps differ by at least 100\u00a0µs",
  );
  const slowest = await kernels.locator("tbody tr").first().locator("th, td").allInnerTexts();
  expect(slowest).toEqual(["matvec_rows", "4", "800\u00a0µs", "900\u00a0µs", "72.7\u00a0%"]);
  const unavailable = "This GPU has no timestamp queries.";
  await open({
    "untimed.json": traceToJson({ ...run, kernels: { ...run.kernels!, unavailable } }),
  });
  await expect.poll(() => kernels.locator("p").innerText()).toBe(unavailable);
  expect(
    await kernels
      .locator(".waterfall, .scroll")
      .evaluateAll((parts) => parts.map((part) => part.checkVisibility())),
  ).toEqual([false, false]);
  await page.emulateMedia({ media: "print" });
  expect(await page.locator(".row:visible").count()).toBe(0);
  expect(await page.locator("#timeline").isVisible()).toBe(true);
  await page.emulateMedia({ media: null });
});

test("the pyramid is switched to bytes and to a logarithm, and tells a layer's exact figures", async () => {
  await open({ "pyramid.json": traceToJson(sampleTrace()) });
  await expect.poll(status).toContain("pyramid.json: sample");
  const kept = (): Promise<string | null> => page.locator("#pyramid path.kept").getAttribute("d");
  await page.locator("#pyramid .stage").focus();
  await page.keyboard.press("ArrowUp");
  const readout = page.locator("#pyramid .readout");
  await expect
    .poll(() => readout.innerText())
    .toBe(
      "Layer 1: 37 of 69 rows per head in use (of the prompt 32, generated 5) in each of 2 heads; budget 32, " +
        "room 96; 49,920\u00a0B (48.8\u00a0KiB) of 131,072\u00a0B (128.0\u00a0KiB), 85.0\u00a0% of the attention kept.",
    );
  const shapes = new Set([await kept()]);
  for (const [select, choice] of [
    ["unit", "bytes"],
    ["scale", "log"],
  ]) {
    await page.locator(`#${select}`).selectOption(choice);
    await expect.poll(async () => shapes.has(await kept())).toBe(false);
    shapes.add(await kept());
  }
  await page.locator("#unit").selectOption("tokens");
  await page.locator("#scale").selectOption("linear");
});

test("a stretch of the timeline is selected by the pointer or by keys, and shown alone", async () => {
  await open({ "stretch.json": traceToJson(sampleTrace()) });
  await expect.poll(status).toContain("stretch.json: sample");
  const stage = page.locator("#timeline .stage");
  const readout = page.locator("#timeline .readout");
  const moment = async (): Promise<number> => {
    await drawn(page);
    return Number(await stage.getAttribute("aria-valuenow"));
  };
  await stage.focus();
  for (const key of ["Escape", "Home", "PageUp", "PageUp", "Shift+PageUp"]) {
    await page.keyboard.press(key);
  }
  expect(await moment()).toBeCloseTo(60, 6);
  expect(await readout.innerText()).toContain("40.0\u00a0ms to 60.0\u00a0ms selected");
  await page.keyboard.press("Enter");
  // A key moves by a hundredth of what is shown.
  await page.keyboard.press("ArrowLeft");
  expect(await moment()).toBeCloseTo(59.8, 6);
  expect(await readout.innerText()).not.toContain("selected");
  await page.keyboard.press("Escape");
  await page.keyboard.press("ArrowLeft");
  expect(await moment()).toBeCloseTo(57.8, 6);
  const { x, y, width } = (await stage.boundingBox())!;
  await page.keyboard.down("Shift");
  await page.mouse.move(x + width / 4, y + 50);
  await page.mouse.down();
  await page.mouse.move(x + width / 2, y + 50);
  await page.mouse.up();
  await page.keyboard.up("Shift");
  await page.mouse.click(x + width / 2, y + 50);
  expect(await moment()).toBeCloseTo(75, 0);
  await page.keyboard.press("Escape");
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
  // Ours stands there before anything is opened, with what the run above kept of the attention.
  expect(await page.locator("#quality-source").innerText()).toContain("12 of 12 documents");
  expect(await page.locator("#quality-run").innerText()).toContain("kept 85.0\u00a0% of");
  await page.locator("#plan-budget").fill("12%");
  await expect.poll(() => page.locator("#quality-text").innerText()).toMatch(/0\.47\d nats/);
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

test("a file that is too large isn't read; its size and the limit are said, and nothing changes", async () => {
  await open({ "good.json": traceToJson(sampleTrace()) });
  await expect.poll(status).toContain("good.json: sample");
  const before = await page.locator("#memory-rows").innerText();
  // A file that only says that it is that large.
  await page.evaluate(() => {
    const size = Object.getOwnPropertyDescriptor(Blob.prototype, "size")!;
    Object.defineProperty(File.prototype, "size", {
      configurable: true,
      get: () => 200 * 2 ** 20 + 2 ** 19,
    });
    addEventListener("size again", () => Object.defineProperty(File.prototype, "size", size));
  });
  await open({ "large.json": traceToJson({ ...sampleTrace(), events: [] }) });
  await expect
    .poll(status)
    .toMatch(
      /^large\.json has 200\.5\sMiB; up to 200\.0\sMiB can be opened\. .*choose another file/,
    );
  expect(await page.locator("#status").getAttribute("class")).toContain("problem");
  expect(await page.locator("#memory-rows").innerText()).toBe(before);
  await page.evaluate(() => dispatchEvent(new Event("size again")));
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

/** 60 frames a second; more is what fails, for the best of five. */
const FRAME_MS = 1000 / 60;
const ATTEMPTS = 5;

/** Press a key at a chart once a frame; how many different things it said. */
function hold(chart: string, key: string, frames: number): Promise<number> {
  return page.evaluate(
    async ([selector, name, count]) => {
      const stage = document.querySelector(selector)!.shadowRoot!.querySelector(".stage")!;
      const seen = new Set<string | null>();
      for (let i = 0; i < count; i++) {
        stage.dispatchEvent(new KeyboardEvent("keydown", { key: name, bubbles: true }));
        await new Promise(requestAnimationFrame);
        seen.add(stage.getAttribute("aria-valuetext"));
      }
      return seen.size;
    },
    [chart, key, frames] as const,
  );
}

test("a run of 100,000 changes opens, and is scrubbed, zoomed and walked at 60 frames a second", async () => {
  await open({ "huge.json": "" });
  await expect.poll(status).toContain("huge.json is no run");
  const text = traceToJson(hugeRun());
  const started = performance.now();
  await open({ "huge.json": text });
  await expect.poll(status).toContain("huge.json: sample");
  const openMs = performance.now() - started;
  console.info(
    `${MANY} changes, ${(text.length / 2 ** 20).toFixed(1)} MiB: shown after ${openMs.toFixed(0)} ms`,
  );
  // Zooming shows the same moment all along.
  for (const [what, chart, key, frames, moments] of [
    ["scrubbing", "#timeline", "ArrowRight", 40, 40],
    ["zooming", "#timeline", "+", 10, 1],
    ["a walk over 32 layers and 8,192 positions", "#heatmap", "ArrowRight", 40, 40],
  ] as const) {
    const found: number[] = [];
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      await hold("#timeline", "Escape", 1);
      await hold("#timeline", "Home", 1);
      await hold(chart, "Home", 1);
      let seen = 0;
      const work = await recordMainThread(site.browser, page, async () => {
        seen = await hold(chart, key, frames);
      });
      expect(seen).toBe(moments);
      expect(work.frames.length).toBeGreaterThan(frames / 2);
      const p95 = percentile(work.frames, 0.95);
      found.push(p95);
      console.info(
        `${what}: main thread ${percentile(work.frames, 0.5).toFixed(1)} ms a frame, p95 ${p95.toFixed(1)} ms; ` +
          `longest task ${work.longestTaskMs.toFixed(1)} ms`,
      );
      if (p95 < FRAME_MS) break;
    }
    expect(Math.min(...found)).toBeLessThan(FRAME_MS);
  }
  await page.locator("#timeline .stage").press("PageUp");
  // 400 at the end of each change, one more between a buffer that comes and one that goes.
  await expect
    .poll(() => page.locator("#buffer-count").innerText())
    .toMatch(/^40[01] buffers, .*the largest 300/);
  // The table of what is kept has every row of 32 layers.
  const kept = page.locator("#heatmap .twin tbody tr");
  expect(await kept.first().locator("td").first().textContent()).toBe("8,000");
  expect(await kept.count()).toBe(32);
});
