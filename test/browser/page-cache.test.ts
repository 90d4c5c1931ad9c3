import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  ask,
  beforeWorker,
  type BuiltSite,
  lastAnswer,
  loadTiny,
  modelWorker,
  openBuiltSite,
  openWatched,
  tinyModelPath,
  turnIs,
  type WatchedPage,
} from "./site.ts";

let site: BuiltSite;
let watched: WatchedPage;
let page: Page;

beforeAll(async () => {
  site = await openBuiltSite();
  watched = await openWatched(site, {
    url: `${site.url}?budgetUnit=tokens&budget=96&beta=none`,
    permissions: ["clipboard-read", "clipboard-write"],
  });
  page = watched.page;
  await beforeWorker(page, countBuffers);
  await loadTiny(page);
  await page.getByLabel("Longest answer").fill("8");
});

afterAll(async () => {
  await watched?.close();
  await site?.close();
});

/** In the worker, beside the ledger: the bytes of all buffers that are there. */
function countBuffers(): void {
  let bytes = 0;
  const { createBuffer } = GPUDevice.prototype;
  const { destroy } = GPUBuffer.prototype;
  const alive = new Set<GPUBuffer>();
  GPUDevice.prototype.createBuffer = function (descriptor) {
    const buffer = createBuffer.call(this, descriptor);
    alive.add(buffer);
    bytes += buffer.size;
    return buffer;
  };
  GPUBuffer.prototype.destroy = function () {
    if (alive.delete(this)) bytes -= this.size;
    return destroy.call(this);
  };
  Object.assign(globalThis, { countedBytes: () => bytes });
}

/** Rows of the pyramid's table: layer, budget, in use, allocated, full cache. */
function pyramidRows(): Promise<number[][]> {
  return page
    .locator("zig-pyramid tbody tr")
    .evaluateAll((rows) =>
      rows.map((row) =>
        [...row.children].slice(0, 5).map((cell) => Number(cell.textContent?.replaceAll(",", ""))),
      ),
    );
}

interface MeterSeen {
  readonly text: string;
  readonly full: number;
  readonly read: { readonly bytes: number; readonly fullBytes: number };
}

/** Looks at the meter in every frame until a layer is read but not all are; gives what it saw first. */
async function watchMeter(): Promise<() => Promise<MeterSeen>> {
  const watch = await page.evaluateHandle(() => {
    const meter = document.querySelector("zig-meter");
    const seen = (async () => {
      for (;;) {
        const data = meter?.data;
        await new Promise(requestAnimationFrame);
        if (data?.read === undefined || data.read.bytes === 0 || meter?.data !== data) continue;
        const text = meter.shadowRoot?.querySelector(".saved dd")?.textContent ?? "";
        return { text, full: data.full, read: data.read };
      }
    })();
    return { seen };
  });
  return () => watch.evaluate(({ seen }) => seen);
}

const figure = (name: string): Promise<string> => page.locator(`zig-meter .${name} dd`).innerText();

test("settings of the address are taken; what isn't understood is said", async () => {
  expect(await page.locator(".budget-field output").innerText()).toBe("96\u00a0tokens a layer");
  expect(await page.locator(".settings-problem").innerText()).toContain("beta=none");
});

test("the memory panel adds up, and nothing moves while numbers grow", async () => {
  const places = (): Promise<unknown> =>
    page.evaluate(() =>
      ["#composer", "#panel", "#memory-rows td", "#memory-rows td:last-child", "#memory-peak"].map(
        (selector) => {
          const box = document.querySelector(selector)?.getBoundingClientRect();
          return [selector, box?.x, box?.y, box?.width, box?.height];
        },
      ),
    );
  const before = await places();
  await page.getByLabel("Longest answer").fill("200");
  await ask(page, "Hello");
  await turnIs(page, "writing");
  expect(await places()).toEqual(before);
  const cell = page.locator(".figure-cell").nth(2);
  const left = (await cell.boundingBox())?.x;
  await turnIs(page, "done");
  expect((await cell.boundingBox())?.x).toBe(left);
  expect(await places()).toEqual(before);

  const rows = await page.locator("#memory-rows td:nth-child(2)").allInnerTexts();
  const peaks = await page.locator("#memory-rows td:nth-child(3)").allInnerTexts();
  const total = Number.parseFloat(await page.locator("#memory-total").innerText());
  const peak = Number.parseFloat(await page.locator("#memory-peak").innerText());
  const counted = await modelWorker(page).evaluate(() =>
    (globalThis as unknown as { countedBytes(): number }).countedBytes(),
  );
  expect(Math.abs(counted / 2 ** 20 - total)).toBeLessThanOrEqual(0.051);
  expect(rows).toHaveLength(5);
  for (const number of [...rows, ...peaks]) expect(number).toMatch(/^[\d,]+\.\d$/);
  // Each row is rounded to a tenth.
  expect(Math.abs(rows.map(Number).reduce((a, b) => a + b, 0) - total)).toBeLessThanOrEqual(0.3);
  expect(total).toBeGreaterThan(0);
  expect(peak).toBeGreaterThanOrEqual(total);
  expect(Number(peaks[0])).toBeGreaterThanOrEqual(Number(rows[0]));
  await page.getByRole("button", { name: "New conversation" }).click();
  await page.getByLabel("Longest answer").fill("8");
});

test("a sample shows the saving: the pyramid is carved while the document is read", async () => {
  await page.getByRole("button", { name: "Find a hidden number" }).click();
  const chip = page.locator("#documents .chip");
  await expect.poll(() => chip.locator("summary").innerText()).toMatch(/[\d,]+\stokens$/);
  const tokens = Number((await chip.innerText()).replace(/[^\d]/g, ""));
  const forecast = page.locator("#forecast");
  await expect.poll(() => forecast.innerText()).toMatch(/^Will read [\d,]+\stokens: KV cache/);
  const foretold = await forecast.innerText();
  const meterWhileReading = await watchMeter();
  await page.getByRole("textbox", { name: "Your question" }).press("Enter");
  await turnIs(page, "reading");
  // Some layers have their final room while others haven't begun.
  await expect
    .poll(
      async () => {
        const room = (await pyramidRows()).map(([, , , rows]) => rows);
        return room.some((rows) => rows > 0) && room.some((rows) => rows === 0);
      },
      { interval: 20 },
    )
    .toBe(true);
  await turnIs(page, "done");
  // Saved so far: by the layers that are read, against as many of a full cache.
  const { text, read, full: fullWhileReading } = await meterWhileReading();
  expect(read.bytes).toBeLessThan(read.fullBytes);
  expect(read.fullBytes).toBeLessThan(fullWhileReading);
  expect(text).toContain(`(${(100 * (1 - read.bytes / read.fullBytes)).toFixed(1)}\u00a0%) so far`);

  // Where every layer has its budget, the mean is what was asked for; the answer adds its rows.
  const rows = await pyramidRows();
  const budgets = rows.map(([, budget]) => budget);
  expect(budgets.reduce((a, b) => a + b, 0)).toBe(96 * rows.length);
  expect(budgets).toEqual([...budgets].sort((a, b) => b - a));
  for (const [, budget, inUse, allocated] of rows) {
    expect(inUse - budget).toBe(7);
    expect(allocated).toBeGreaterThanOrEqual(inUse);
  }
  expect(rows[0]?.[4]).toBeGreaterThan(tokens);

  const [now, full] = await Promise.all([figure("allocated"), figure("full")]);
  // What was foretold came true.
  expect(await forecast.innerText()).toBe("");
  expect(foretold).toContain(`KV cache ${now} (full: ${full})`);
  const [, total] = /all GPU memory ([\d.]+)/.exec(foretold) ?? [];
  const ledger = Number.parseFloat(await page.locator("#memory-total").innerText());
  expect(Math.abs(Number(total) - ledger)).toBeLessThanOrEqual(0.02 * ledger + 0.1);
  const kvRow = page.locator("#memory-rows tr", { hasText: "KV cache" });
  expect(`${await kvRow.locator("td").first().innerText()}\u00a0MiB`).toBe(now);
  expect(Number.parseFloat(full)).toBeGreaterThan(Number.parseFloat(now));
  expect(await figure("saved")).toMatch(/^[\d.]+\sMiB \([\d.]+\s%\)$/);
  const context = await page.locator(".kv-context").innerText();
  expect(context).toMatch(/^[\d,]+ of 8,192\stokens of context; a layer keeps [\d,]+ to [\d,]+$/);
  expect(await page.locator(".turn-cache").innerText()).toContain("(PyramidKV)");
});

test("the needle's verdict and the tint of the tokens come from the kept positions", async () => {
  const verdict = page.locator(".needle-verdict");
  await expect.poll(() => verdict.innerText()).toMatch(/[\d.]+\s% of the \(layer, head\) pairs/);
  // A random model doesn't find it.
  expect(await verdict.innerText()).toContain("The answer doesn’t have the fact (“68132”).");
  const rows = await pyramidRows();
  const heads = 2;
  await page.getByLabel("Layer", { exact: true }).selectOption("3");
  const kept = (): Promise<number> =>
    page.locator("zig-tokens").evaluate((element) => {
      const { data } = element as unknown as { data: { tokens: { kept: number }[] } };
      return data.tokens.reduce((sum, token) => sum + token.kept, 0);
    });
  await expect.poll(kept).toBe(heads * rows[3][1]);
  await page.getByLabel("KV head").selectOption("1");
  await expect.poll(kept).toBe(rows[3][1]);
});

test("side by side: both caches answer the same prompt, and the conversation stays", async () => {
  const answers = await page.locator(".answer").allTextContents();
  const compare = page.getByRole("button", { name: "Compare with the full cache" });
  const comparison = page.getByRole("region", { name: "Compared with the full cache" });
  const status = comparison.getByRole("status");
  await compare.click();
  await expect.poll(() => status.innerText()).toContain("Full cache: ");
  await page.keyboard.press("Escape");
  await expect.poll(() => status.innerText()).toBe("The comparison was stopped.");

  await compare.click();
  await expect
    .poll(() => status.innerText(), { timeout: 60_000 })
    .toMatch(/^(The same|They differ)/);
  expect(await comparison.getByRole("heading").allInnerTexts()).toEqual([
    "Full cache",
    "PyramidKV, 96\u00a0tokens a layer",
  ]);
  const sides = await comparison.locator(".comparison-column").evaluateAll((columns) =>
    columns.map((column) => ({
      parts: (column.querySelector(".comparison-text")?.textContent ?? "").split(
        "They differ from here on: ",
      ),
      figures: [...column.querySelectorAll("dd")].map((place) => place.textContent ?? ""),
    })),
  );
  const [full, compressed] = sides.map(({ parts }) => parts);
  // They part where the mark stands, and nowhere before.
  expect([full.length, compressed.length]).toEqual([2, 2]);
  expect(compressed[0]).toBe(full[0]);
  expect(compressed[1]).not.toBe(full[1]);
  const underlined = await page.evaluate(() => CSS.highlights.get("differs")?.size);
  expect(underlined).toBe(2);
  const [fullKv, kv] = sides.map(({ figures }) => Number.parseFloat(figures[0]));
  expect(kv).toBeLessThan(fullKv);
  for (const { figures } of sides) {
    expect(figures[2]).toMatch(/^[\d,]+\stokens · [\d.,]+\stokens\/s$/);
    expect(figures[4]).toMatch(/^[1-8]\stokens?/);
  }
  // The ledger is the compressed cache's again, and so is what was said.
  await expect.poll(() => figure("allocated")).toBe(`${sides[1].figures[0]}`);
  expect(await page.locator(".answer").allTextContents()).toEqual(answers);
});

test("another policy drops the cache, is in the address, and reads again", async () => {
  await page.getByLabel("Policy").selectOption("full");
  await expect.poll(() => page.url()).toContain("policy=full");
  await page.getByRole("button", { name: "Answer again" }).click();
  await turnIs(page, "reading");
  await turnIs(page, "done");
  await expect.poll(() => page.locator(".turn-cache").innerText()).toContain("(Full cache)");
  expect(await page.locator(".kv-note").innerText()).toBe("The full cache keeps every token.");
  expect(await figure("saved")).toBe("nothing yet");
  await page.getByLabel("Policy").selectOption("pyramidkv");
});

test("a short prompt says that nothing was evicted", async () => {
  await page.getByRole("button", { name: "New conversation" }).click();
  await ask(page, "Hi");
  await turnIs(page, "done");
  await expect
    .poll(() => page.locator(".kv-note").innerText())
    .toBe("Nothing was evicted: the prompt is shorter than the budget.");
});

test("the next question goes on from the compressed cache, or reads the conversation again", async () => {
  const cache = page.locator(".turn:last-child .turn-cache");
  await ask(page, "And?");
  await turnIs(page, "done");
  expect(await cache.innerText()).toMatch(/ · went on from [\d,]+\stokens in the cache$/);
  await page.locator("#cache-controls summary").click();
  await page.getByLabel("Next question").selectOption("read-again");
  await expect.poll(() => page.url()).toContain("followUp=read-again");
  await ask(page, "And then?");
  await turnIs(page, "done");
  expect(await cache.innerText()).not.toContain("went on");
  await page.getByLabel("Next question").selectOption("keep");
  await page.getByRole("button", { name: "New conversation" }).click();
  await ask(page, "Hi");
  await turnIs(page, "done");
});

const focusedIs = (): Promise<string> =>
  page.evaluate(() => document.activeElement?.id || (document.activeElement?.textContent ?? ""));

/** Tokens of the last prompt, as the page shows which of them are kept. */
async function promptTokens(): Promise<string[]> {
  await page.getByRole("button", { name: "Show what the cache kept" }).press("Enter");
  await expect.poll(focusedIs).toMatch(/^field-/);
  const read = (): Promise<string[]> =>
    page.locator("zig-tokens:visible").evaluate((element) => {
      const { data } = element as unknown as { data?: { tokens: { text: string }[] } };
      return data?.tokens.map(({ text }) => text) ?? [];
    });
  await expect.poll(async () => (await read()).length).toBeGreaterThan(0);
  return read();
}

test("a pasted control token stays text", async () => {
  const control = "<|im_end|>";
  const countOf = (tokens: readonly string[]): number =>
    tokens.filter((text) => text === control).length;
  const plain = countOf(await promptTokens());
  await page.getByRole("button", { name: "New conversation" }).click();
  await ask(page, `before ${control} after`);
  await turnIs(page, "done");
  expect(await page.locator(".question").textContent()).toBe(`before ${control} after`);
  const tokens = await promptTokens();
  // The model sees its characters; only the template's own are the control token.
  expect(tokens.join("")).toContain(`before ${control} after`);
  expect(countOf(tokens)).toBe(plain);
  expect(plain).toBeGreaterThan(0);
  await page.getByRole("button", { name: "New conversation" }).click();
  await ask(page, "Hi");
  await turnIs(page, "done");
});

test("continue, copy, edit with its cost, delete and undo", async () => {
  const first = await lastAnswer(page);
  await page.getByRole("button", { name: "Copy", exact: true }).click();
  await page.getByText("Copied.").waitFor();
  expect(await page.evaluate(() => navigator.clipboard.readText())).toBe(first);

  await page.getByRole("button", { name: "Continue" }).click();
  await expect.poll(async () => (await lastAnswer(page)).length).toBeGreaterThan(first.length);
  await turnIs(page, "done");
  expect((await lastAnswer(page)).startsWith(first)).toBe(true);

  // The arrow key opens the last question; its cost is said before it is sent.
  await page.getByRole("textbox", { name: "Your question" }).press("ArrowUp");
  const editor = page.getByRole("textbox", { name: "Edit the question" });
  await editor.fill("Hi there");
  await expect
    .poll(() => page.locator(".question-editor .caption").innerText())
    .toMatch(/^Sending reads [\d,]+\stokens? again/);
  await editor.press("Enter");
  await expect.poll(() => page.locator(".question").allTextContents()).toEqual(["Hi there"]);
  await turnIs(page, "done");
  await page.getByRole("button", { name: "Undo" }).click();
  await expect.poll(() => page.locator(".question").allTextContents()).toEqual(["Hi"]);

  await page.getByRole("button", { name: "Delete" }).click();
  await expect.poll(() => page.locator(".turn").count()).toBe(0);
  await page.getByRole("button", { name: "Undo" }).click();
  await expect.poll(() => page.locator(".turn").count()).toBe(1);
});

test("a long paste becomes a document; one that is too long can be cut to fit", async () => {
  await page.evaluate(() => {
    const clipboardData = new DataTransfer();
    clipboardData.setData("text/plain", "The terraces rise. ".repeat(5500));
    const event = new ClipboardEvent("paste", { clipboardData, bubbles: true, cancelable: true });
    document.querySelector("#question")?.dispatchEvent(event);
  });
  const chip = page.locator("#documents .chip summary");
  await expect.poll(() => chip.innerText()).toMatch(/^Pasted text [\d,]+\stokens$/);
  expect(await page.getByRole("textbox", { name: "Your question" }).inputValue()).toBe("");
  await ask(page, "What rises?");
  const cut = page.getByRole("button", { name: "Cut the document to fit" });
  await cut.press("Enter");
  await turnIs(page, "reading");
  await page.keyboard.press("Escape");
  await turnIs(page, "stopped");
  // How much was cut is said, and the whole text comes back.
  const undo = page.locator("#undo");
  expect(await undo.innerText()).toMatch(/^Pasted text was cut from 104,500 to [1-9]\d,\d{3} char/);
  expect(await focusedIs()).toBe("question");
  await undo.getByRole("button", { name: "Undo" }).press("Enter");
  await cut.waitFor();
  expect(await focusedIs()).toBe("question");
  await cut.click();
  await turnIs(page, "reading");
  await page.keyboard.press("Escape");
  await turnIs(page, "stopped");
});

/** Each layer's budget and rows in use, as a pyramid draws them. */
function layersOn(shown: Page, pyramid: string): Promise<number[][] | undefined> {
  return shown
    .locator(pyramid)
    .evaluate((element) =>
      (element as HTMLElementTagNameMap["zig-pyramid"]).data?.layers.map(({ budget, length }) => [
        budget,
        length,
      ]),
    );
}

test("a click or Enter on the pyramid opens the memory page, which follows this page's run", async () => {
  await page.getByRole("button", { name: "New conversation" }).click();
  await ask(page, "Hello");
  await turnIs(page, "done");
  const pyramid = page.locator("#kv zig-pyramid");
  const opened = page.context().waitForEvent("page");
  await pyramid.click();
  const memory = await opened;
  await expect.poll(() => memory.locator("#status").innerText()).toMatch(/ in the chat page\.$/);
  const before = await layersOn(page, "#kv zig-pyramid");
  expect(before).toHaveLength(4);
  expect(await layersOn(memory, "#pyramid")).toEqual(before);

  await ask(page, "And now?");
  await turnIs(page, "done");
  const after = await layersOn(page, "#kv zig-pyramid");
  expect(after).not.toEqual(before);
  await expect.poll(() => layersOn(memory, "#pyramid")).toEqual(after);

  const openedByKey = page.context().waitForEvent("page");
  await pyramid.getByRole("slider").press("Enter");
  expect((await openedByKey).url()).toBe(memory.url());
});

/** In the worker: a hundred times as long passes, so that reading a page of text is worth sparing. */
function slowClock(): void {
  const { now } = Performance.prototype;
  const start = now.call(performance);
  Performance.prototype.now = function () {
    return start + 100 * (now.call(this) - start);
  };
}

/** In the page: how many saved caches there are; `damage` writes something else at their ends first. */
async function savedCaches(damage: boolean): Promise<number> {
  const resultOf = <T>(request: IDBRequest<T>): Promise<T> =>
    new Promise((resolve) => request.addEventListener("success", () => resolve(request.result)));
  const database = await resultOf(indexedDB.open("ziggurat-history"));
  const store = database.transaction("sessions", "readwrite").objectStore("sessions");
  const all = await resultOf<{ blob: Blob }[]>(store.getAll());
  for (const { blob, ...rest } of damage ? all : []) {
    store.put({ ...rest, blob: new Blob([blob.slice(0, -8), "damaged!"]) });
  }
  database.close();
  return all.length;
}

test("after a reload a document isn't read again: its saved cache answers alike", async () => {
  const dialog = page.getByRole("dialog", { name: "Conversations" });
  const open = page.getByRole("button", { name: "Conversations" });
  const lines = dialog.locator("li .caption");
  const cache = page.locator(".turn:last-child .turn-cache");
  const document = "A terrace stands on a terrace. ".repeat(40);
  const answers = async (): Promise<string[]> => page.locator(".answer").allTextContents();
  await modelWorker(page).evaluate(slowClock);
  await page.getByRole("button", { name: "New conversation" }).click();
  await ask(page, document);
  await turnIs(page, "done");
  await open.click();
  await expect.poll(() => lines.first().innerText()).toMatch(/ · cache saved, [\d.]+\sMiB$/);
  expect(await dialog.innerText()).toMatch(/^Saved caches.*[\d.]+\sMiB of at most 256\.0\sMiB/m);

  await page.reload();
  await page.getByRole("button", { name: "Open a .gguf file" }).waitFor();
  await page.setInputFiles("#file", tinyModelPath);
  const stage = page.locator("#stage");
  await expect
    .poll(() => stage.innerText())
    .toMatch(
      /^This conversation was reopened from what was saved: [\d,]+\stokens, .+ from there\.$/,
    );
  await modelWorker(page).evaluate(slowClock);
  await page.getByLabel("Longest answer").fill("8");
  await ask(page, "And then?");
  await turnIs(page, "done");
  expect(await cache.innerText()).toMatch(
    / · reopened from what was saved: [\d,]+\stokens, [\d.]+\sMiB, .+ · went on from [\d,]+\stokens in the cache$/,
  );
  expect(await stage.innerText()).toBe("");
  const afterReload = await answers();

  // The same in a conversation that knows of no reload.
  await page.getByRole("button", { name: "New conversation" }).click();
  await ask(page, document);
  await turnIs(page, "done");
  expect(await cache.innerText()).not.toContain("went on");
  await ask(page, "And then?");
  await turnIs(page, "done");
  expect(await answers()).toEqual(afterReload);

  await open.click();
  await expect.poll(() => lines.nth(0).innerText()).toContain("cache saved");
  await expect.poll(() => lines.nth(1).innerText()).toContain("cache saved");
  const saved = await page.evaluate(savedCaches, true);
  await dialog.locator(".history-open").nth(1).click();
  await expect
    .poll(() => stage.innerText())
    .toBe("The next question reads this conversation again: what was saved is damaged.");
  expect(await answers()).toEqual(afterReload);
  await expect.poll(() => page.evaluate(savedCaches, false)).toBe(saved - 1);

  await open.click();
  await dialog.getByRole("button", { name: "Delete all" }).click();
  await dialog.getByRole("button", { name: "Delete them" }).click();
  await expect.poll(() => page.evaluate(savedCaches, false)).toBe(0);
});

test("each control of the cache moves what the report says", async () => {
  const address = (): Promise<string> => page.evaluate(() => location.search);
  const answer = async (press: () => Promise<void>): Promise<number[]> => {
    await press();
    await turnIs(page, "reading");
    await turnIs(page, "done");
    const rows = await pyramidRows();
    // The answer adds a row for each of its tokens but the last.
    for (const [, budget, inUse] of rows) expect(inUse - budget).toBe(3);
    return rows.map(([, budget]) => budget);
  };
  const again = (): Promise<number[]> =>
    answer(() => page.getByRole("button", { name: "Answer again" }).click());
  const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0);
  const spread = (budgets: readonly number[]): number =>
    Math.max(...budgets) - Math.min(...budgets);

  await page.keyboard.press("Escape");
  await page.getByLabel("Longest answer").fill("4");
  await page.getByLabel("Policy").selectOption("pyramidkv");
  await page.getByRole("slider", { name: "Budget" }).fill("160");
  await expect.poll(address).toContain("budget=160");
  await page.getByRole("button", { name: "Find a hidden number" }).click();
  const steep = await answer(() =>
    page.getByRole("textbox", { name: "Your question" }).press("Enter"),
  );
  expect(sum(steep)).toBe(160 * steep.length);

  // Another number of this page's rewrites the address: what wasn't understood in it is gone.
  const more = page.locator("#cache-controls details");
  if (!(await more.evaluate((details) => (details as HTMLDetailsElement).open))) {
    await more.locator("summary").click();
  }
  for (const [label, value] of [
    ["Window", "16"],
    ["Beta", "2"],
  ] as const) {
    await page.getByLabel(label, { exact: true }).fill(value);
    await page.getByLabel(label, { exact: true }).press("Enter");
  }
  await expect.poll(address).toContain("windowSize=16&beta=2");
  expect(await page.locator(".settings-problem").innerText()).toBe("");
  const flat = await again();
  expect(sum(flat)).toBe(160 * flat.length);
  expect(spread(flat)).toBeLessThan(spread(steep));

  await page.getByLabel("Policy").selectOption("custom");
  await page.getByLabel("Rows by layer").fill("80, 20");
  await page.getByLabel("Rows by layer").press("Enter");
  await expect.poll(address).toContain("layerRows=80");
  const own = await again();
  expect([own[0], own.at(-1)]).toEqual([80, 20]);
  expect(own).toEqual([...own].sort((a, b) => b - a));
  const narrow = Number.parseFloat(await figure("allocated"));

  await page.getByLabel("Stored as").selectOption("f32");
  await expect.poll(address).toContain("kvDtype=f32");
  await page.getByText("Loading").first().waitFor();
  await page.getByRole("button", { name: "Answer again" }).waitFor();
  expect(await again()).toEqual(own);
  // To a tenth of a MiB, and positions stay as they are.
  const wide = Number.parseFloat(await figure("allocated"));
  expect(wide / narrow).toBeGreaterThan(1.5);
});
