import { readdir } from "node:fs/promises";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { recordMainThread } from "./replay/main-thread.ts";
import {
  ask,
  type BuiltSite,
  loadTiny,
  openBuiltSite,
  openWatched,
  TINY_MODEL,
  turnIs,
  type WatchedPage,
} from "./site.ts";

/** What makes up a model in Hugging Face's files. */
const PARTS = /\.(safetensors|json|jinja)$/;

let site: BuiltSite;
let watched: WatchedPage;
let page: Page;

beforeAll(async () => {
  site = await openBuiltSite();
  const permissions = ["clipboard-read", "clipboard-write"];
  watched = await openWatched(site, { replayed: true, permissions });
  page = watched.page;
  await loadTiny(page);
});

afterAll(async () => {
  await watched?.close();
  await site?.close();
});

/** The longest that a task may take the page's thread; measured on a busy machine: 5 ms. */
const LONGEST_TASK_MS = 50;

test("a paste of 100,000 characters is a chip whose text isn't laid out, and the page goes on", async () => {
  const chip = page.locator("#documents summary");
  const { longestTaskMs } = await recordMainThread(site.browser, page, async () => {
    await page.evaluate(() => {
      const clipboardData = new DataTransfer();
      clipboardData.setData("text/plain", "The terraces rise. ".repeat(5264));
      const options = { clipboardData, bubbles: true, cancelable: true };
      document.querySelector("#question")?.dispatchEvent(new ClipboardEvent("paste", options));
    });
    await expect.poll(() => chip.innerText()).toMatch(/^Pasted text 15,79\d\stokens$/);
  });
  console.info(`a paste of 100,000 characters: longest task ${longestTaskMs.toFixed(1)} ms`);
  expect(longestTaskMs).toBeLessThan(LONGEST_TASK_MS);
  // What sending it would come to is said before it is sent.
  await expect
    .poll(() => page.locator("#forecast").innerText())
    .toMatch(/^15,79\d\stokens, but the context holds 8,192\.$/);
  await page.getByRole("button", { name: "Remove Pasted text" }).click();
  await expect.poll(() => page.locator("#documents .chip").count()).toBe(0);
});

/** The turn of this question, as it is kept. */
function keptTurn(question: string): Promise<unknown> {
  return page.evaluate(
    (wanted) =>
      new Promise((resolve) => {
        const opening = indexedDB.open("ziggurat-history");
        opening.addEventListener("success", () => {
          const bodies = opening.result.transaction("bodies").objectStore("bodies").getAll();
          bodies.addEventListener("success", () => {
            type Body = { turns: { state: string; text: string; answerTokenIds: number[] }[] };
            const turns = (bodies.result as Body[]).flatMap((body) => body.turns);
            const turn = turns.find(({ text }) => text === wanted);
            opening.result.close();
            resolve(turn && { state: turn.state, tokens: turn.answerTokenIds.length });
          });
        });
      }),
    question,
  );
}

/** Drop files on the page, each with a text or with what the site serves at its address. */
async function drop(
  files: readonly { readonly name: string; readonly text?: string; readonly from?: string }[],
): Promise<void> {
  await page.evaluate(async (wanted) => {
    const dataTransfer = new DataTransfer();
    for (const { name, text, from = "" } of wanted) {
      const content = text ?? (await (await fetch(from)).blob());
      dataTransfer.items.add(new File([content], name));
    }
    dispatchEvent(new DragEvent("dragover", { dataTransfer, cancelable: true }));
    dispatchEvent(new DragEvent("drop", { dataTransfer, cancelable: true }));
  }, files);
}

test("what is dropped on the page is taken for what it is: weights with their files, a model file, a text", async () => {
  const modelName = page.locator("#model-name");
  const names = (await readdir("test/golden/data/hf-llama")).filter((name) => PARTS.test(name));
  expect(names).toContain("config.json");
  await drop(names.map((name) => ({ name, from: `hf-llama/${name}` })));
  await expect.poll(() => modelName.innerText()).toMatch(/^model-0000\d-of-00003\.safetensors$/);
  await drop([{ name: "dropped.gguf", from: TINY_MODEL }]);
  await expect.poll(() => modelName.innerText()).toBe("dropped.gguf");
  // Without what belongs to them, weights are refused, and what is loaded stays.
  await drop([{ name: "alone.safetensors", from: `hf-llama/${names.at(-1)}` }]);
  await expect
    .poll(() => page.locator("#refused").innerText())
    .toContain("dropped.gguf stays loaded");
  expect(await modelName.innerText()).toBe("dropped.gguf");
  await page.getByRole("button", { name: "Dismiss" }).click();

  await drop([{ name: "notes.md", text: "# Notes\n\nOn terraces." }]);
  const chip = page.locator("#documents summary");
  await expect.poll(() => chip.innerText()).toMatch(/^notes\.md \d+\stokens?$/);
  await page.getByRole("button", { name: "Remove notes.md" }).click();
});

test("the sample of a long chat puts its turns before the question, and says that no model wrote them", async () => {
  await page.getByRole("button", { name: "Go on with a long chat" }).click();
  await expect.poll(() => page.locator(".turn[data-state=done]").count()).toBe(5);
  const said = await page.locator(".turn-status").allTextContents();
  expect(new Set(said)).toEqual(new Set(["Part of the sample, not written by a model."]));
  const question = page.getByRole("textbox", { name: "Your question" });
  expect(await question.inputValue()).toBe("When is the library open, and who has the key?");
  await page.getByLabel("Longest answer").fill("5");
  await question.press("Enter");
  await expect.poll(() => page.locator(".turn[data-state=done]").count()).toBe(6);
  // The chat was read with it: that is what the cache saves on.
  expect(await page.locator(".figure-read dd").last().innerText()).toMatch(/^[1-9]\d\d\stokens/);
  expect(await page.locator("#meter-saved").textContent()).toMatch(/^[1-9]\d?(\.\d)?\s%$/);
  await page.getByRole("button", { name: "New conversation" }).click();
});

test("in a tab in the background the answer goes on, and is kept", async () => {
  await page.getByLabel("Longest answer").fill("100");
  await ask(page, "In the background");
  await turnIs(page, "writing");
  // A tab that isn't seen draws no frames.
  await page.evaluate(() => {
    const draw = globalThis.requestAnimationFrame;
    const waiting: FrameRequestCallback[] = [];
    globalThis.requestAnimationFrame = (callback) => waiting.push(callback);
    Object.defineProperty(document, "hidden", { value: true, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
    addEventListener("seen again", () => {
      globalThis.requestAnimationFrame = draw;
      Object.defineProperty(document, "hidden", { value: false });
      document.dispatchEvent(new Event("visibilitychange"));
      for (const callback of waiting) draw(callback);
    });
  });
  await expect.poll(() => keptTurn("In the background")).toEqual({ state: "done", tokens: 100 });
  expect(await page.locator(".turn").getAttribute("data-state")).toBe("writing");
  await page.evaluate(() => dispatchEvent(new Event("seen again")));
  await turnIs(page, "done");
  expect(await page.locator(".figure-wrote dd").innerText()).toMatch(/^100\stokens/);
});

test("the diagnostics tell of device, model and settings, and of no word that was written", async () => {
  await page.locator("#panel summary", { hasText: "Diagnostics" }).click();
  await page.getByRole("button", { name: "Copy diagnostics" }).last().click();
  await page.getByText("Copied").first().waitFor();
  const report = await page.evaluate(() => navigator.clipboard.readText());
  for (const part of ["architecture: swiftshader", "replayed run", "pyramidkv"]) {
    expect(report).toContain(part);
  }
  expect(report.toLowerCase()).not.toContain("in the background");
  const answer = (await page.locator(".answer").textContent()) ?? "";
  expect(report).not.toContain(answer.slice(0, 20));
});

test("where the page has no clipboard, copying says what to do instead", async () => {
  const plain = await openWatched(site, {
    replayed: true,
    init: () => Object.defineProperty(Navigator.prototype, "clipboard", { value: undefined }),
  });
  await loadTiny(plain.page);
  await plain.page.getByLabel("Longest answer").fill("90");
  await ask(plain.page, "Show some code");
  await turnIs(plain.page, "done");
  await plain.page.getByRole("button", { name: "Copy", exact: true }).click();
  await plain.page.getByText("This page may not copy; select the text instead.").waitFor();
  await plain.page.getByRole("button", { name: "Copy code" }).first().click();
  await plain.page.getByText("Selected: press Ctrl+C").waitFor();
  await plain.page.getByRole("button", { name: "Settings" }).click();
  await plain.page.getByRole("button", { name: "Copy a link with these settings" }).click();
  await plain.page.getByText("This page may not copy; take the address of the page.").waitFor();
  await plain.close();
});
