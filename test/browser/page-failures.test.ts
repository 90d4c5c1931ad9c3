import type { Locator, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  ask,
  beforeWorker,
  type BuiltSite,
  lastAnswer,
  modelWorker,
  openBuiltSite,
  openWatched,
  runOutOfMemory,
  replayRuns,
  serveTinyAsDefault,
  TINY_MODEL,
  tinyModelPath,
  turnIs,
  type WatchedPage,
} from "./site.ts";

let site: BuiltSite;

beforeAll(async () => {
  site = await openBuiltSite();
});

afterAll(() => site?.close());

const noModel = {
  name: "notes.gguf",
  mimeType: "",
  buffer: Buffer.from("just some notes".repeat(9)),
};

describe("on one page", () => {
  let watched: WatchedPage;
  let page: Page;
  const notice = (): Locator => page.getByRole("alert");

  beforeAll(async () => {
    watched = await openWatched(site);
    page = watched.page;
    await page.getByRole("button", { name: "Open a .gguf file" }).waitFor();
  });

  afterAll(() => watched?.close());

  test("a file that is no model is refused with what it is, and another can be opened", async () => {
    await page.setInputFiles("#file", noModel);
    await notice()
      .getByRole("heading", { name: "This file is damaged, or it is no model" })
      .waitFor();
    expect(await notice().textContent()).toContain("notes.gguf: magic should be");
    expect(await notice().textContent()).toContain("The conversation is kept");

    const chooser = page.waitForEvent("filechooser");
    await notice().getByRole("button", { name: "Open another file" }).click();
    await (await chooser).setFiles(tinyModelPath);
    await page.getByRole("heading", { name: "Ask a question" }).waitFor();
    expect(await notice().count()).toBe(0);
  });

  test("a prompt longer than the context goes back to be shortened", async () => {
    const long = "No terrace is wider than this. ".repeat(2000);
    await ask(page, long);
    const title = { name: "This is too long for the model" };
    await notice().getByRole("heading", title).waitFor();
    expect(await notice().textContent()).toMatch(/needs \d+ tokens, but the context holds 8192/);
    await notice().getByRole("button", { name: "Shorten the question" }).click();
    const question = page.getByRole("textbox", { name: "Your question" });
    expect(await question.inputValue()).toBe(long.trim());
    await expect.poll(() => page.locator(".turn").count()).toBe(0);
  });

  test("an answer that doesn't fit beside the conversation is offered a new one", async () => {
    await page.getByLabel("Longest answer").fill("3");
    await ask(page, "Hello");
    await turnIs(page, "done");
    await page.getByLabel("Longest answer").fill("8192");
    await ask(page, "And now at length");
    await notice().getByRole("button", { name: "Ask in a new conversation" }).click();
    const question = page.getByRole("textbox", { name: "Your question" });
    expect(await question.inputValue()).toBe("And now at length");
    await page.getByRole("button", { name: "Bring it back" }).click();
    await turnIs(page, "done");
    expect(await page.locator(".question").allTextContents()).toEqual(["Hello"]);
  });

  test("a GPU that is full while answering: half the cache, and the question is answered", async () => {
    const answer = await lastAnswer(page);
    await modelWorker(page).evaluate(runOutOfMemory);
    await page.getByLabel("Longest answer").fill("3");
    await ask(page, "The terraces rise. ".repeat(120));
    await notice().getByRole("heading", { name: "The GPU ran out of memory" }).waitFor();
    const budget = page.locator(".budget-field output");
    const before = Number.parseInt(await budget.innerText(), 10);
    await notice().getByRole("button", { name: "Load it with half the cache" }).click();
    await turnIs(page, "done");
    expect(Number.parseInt(await budget.innerText(), 10)).toBe(before / 2);
    expect(await page.locator(".answer").first().textContent()).toBe(answer);
    expect(await page.locator(".turn").count()).toBe(2);
  });

  test("an answer goes on when the device is lost", async () => {
    await write();
    await crashGpu();
    const before = await lastAnswer(page);
    await expect
      .poll(async () => (await lastAnswer(page)).length)
      .toBeGreaterThan(before.length + 20);
    expect((await lastAnswer(page)).startsWith(before)).toBe(true);
    await page.keyboard.press("Escape");
    await turnIs(page, "stopped");
    expect(await notice().count()).toBe(0);
  });

  test("a lost device with no other one keeps the conversation; loading again goes on", async () => {
    await write();
    const before = await lastAnswer(page);
    await modelWorker(page).evaluate(() => {
      GPU.prototype.requestAdapter = () => Promise.resolve(null);
    });
    await crashGpu();
    await notice().getByRole("heading", { name: "The GPU was lost" }).waitFor();
    await turnIs(page, "failed");
    expect((await lastAnswer(page)).startsWith(before)).toBe(true);

    // Whether a model can be loaded after one is no question any more.
    await replayRuns(page);
    await notice().getByRole("button", { name: "Load the model again" }).click();
    await expect.poll(() => notice().count()).toBe(0);
    await page.getByRole("button", { name: "Answer again" }).click();
    await turnIs(page, "writing");
    await page.keyboard.press("Escape");
    await turnIs(page, "stopped");
    expect(await page.locator(".turn").count()).toBe(1);
  });

  test("a wrong file that is dropped leaves the conversation", async () => {
    const answer = await lastAnswer(page);
    await page.evaluate(() => {
      const dataTransfer = new DataTransfer();
      dataTransfer.items.add(new File(["no model at all, only words in a file"], "dropped.gguf"));
      dispatchEvent(new DragEvent("dragover", { dataTransfer, cancelable: true }));
      dispatchEvent(new DragEvent("drop", { dataTransfer, cancelable: true }));
    });
    await page.getByText("dropped.gguf: magic should be").waitFor();
    expect(await page.locator("#drop-hint").isVisible()).toBe(false);
    expect(answer).not.toBe("");
    expect(await lastAnswer(page)).toBe(answer);
    // The model is still there, and answers.
    const refused = page.locator("#refused");
    expect(await refused.textContent()).toContain(`${TINY_MODEL} stays loaded.`);
    await page.getByLabel("Longest answer").fill("3");
    await ask(page, "Are you still there?");
    await turnIs(page, "done");
    expect(await lastAnswer(page)).not.toBe("");
    await refused.getByRole("button", { name: "Dismiss" }).press("Enter");
    await expect.poll(() => refused.isVisible()).toBe(false);
    expect(await page.evaluate(() => document.activeElement?.id)).toBe("question");
  });

  /** Get into the middle of the first answer of a new conversation. */
  async function write(): Promise<void> {
    await page.getByRole("button", { name: "New conversation" }).click();
    await page.getByLabel("Longest answer").fill("");
    await ask(page, "Hello");
    await turnIs(page, "writing");
    await expect.poll(() => lastAnswer(page)).not.toBe("");
  }

  /** Ends the browser's GPU process: every device is lost as it is when a driver resets. */
  async function crashGpu(): Promise<void> {
    const session = await site.browser.newBrowserCDPSession();
    await session.send("Browser.crashGpuProcess");
    await session.detach();
  }
});

/** In the worker: where nothing can run, compiling would be a waste of time. */
function compileNothing(): void {
  GPUDevice.prototype.createComputePipelineAsync = () => Promise.resolve({} as GPUComputePipeline);
}

test("a GPU that is full while loading is said", async () => {
  const watched = await openWatched(site);
  const { page } = watched;
  await page.getByRole("button", { name: "Open a .gguf file" }).waitFor();
  await beforeWorker(page, runOutOfMemory);
  await beforeWorker(page, compileNothing);
  await page.setInputFiles("#file", tinyModelPath);
  const notice = page.getByRole("alert");
  await notice.getByRole("heading", { name: "The GPU has no room for this model" }).waitFor();
  expect(await notice.getByRole("button", { name: "Load the model again" }).isEnabled()).toBe(true);
  await notice.getByRole("button", { name: "Choose another model" }).click();
  await page.getByRole("button", { name: "Open a .gguf file" }).waitFor();
  await watched.close();
});

test("loading can be cancelled, and begun again", async () => {
  let release = (): void => {};
  const held = new Promise<void>((resolve) => (release = resolve));
  const watched = await openWatched(site, {
    replayed: true,
    prepare: async (page) => {
      await serveTinyAsDefault(page);
      // After the size is known, the file hangs.
      await page.route("**/models/*.gguf", async (route) => {
        if (route.request().headers()["range"] !== "bytes=0-1") await held;
        await route.fallback().catch(() => {});
      });
    },
  });
  const { page } = watched;
  const load = page.getByRole("button", { name: /^Load / });
  await load.click();
  await page.getByRole("heading", { name: "Loading SmolLM2-135M-Instruct" }).waitFor();
  expect(await page.locator('.steps [aria-current="step"]').textContent()).toBe("Get the file");
  await page.getByRole("button", { name: "Cancel" }).click();
  await load.waitFor();
  await load.click();
  await page.keyboard.press("Escape");
  await load.waitFor();

  release();
  await load.click();
  await page.getByRole("heading", { name: "Ask a question" }).waitFor();
  await watched.close();
});

test("after a file that is no model a question waits, and nothing is downloaded until one is chosen", async () => {
  const fetched: string[] = [];
  const watched = await openWatched(site, {
    replayed: true,
    prepare: (page) =>
      page.route("**/models/*.gguf", async (route) => {
        const range = route.request().headers()["range"] ?? "all";
        if (range !== "bytes=0-1") fetched.push(range);
        await route.fallback();
      }),
  });
  const { page } = watched;
  await page.getByRole("button", { name: "Open a .gguf file" }).waitFor();
  await page.setInputFiles("#file", noModel);
  const notice = page.getByRole("alert");
  await notice.getByRole("button", { name: "Open another file" }).waitFor();
  await page.getByLabel("Longest answer").fill("3");
  await ask(page, "Hello");
  await turnIs(page, "waiting");
  await notice.getByRole("button", { name: "Choose another model" }).press("Enter");
  await page.getByRole("button", { name: "Open a .gguf file" }).waitFor();
  await turnIs(page, "waiting");
  await page.setInputFiles("#file", tinyModelPath);
  await turnIs(page, "done");
  expect(fetched).toEqual([]);
  await watched.close();
});

test("a mistyped address is said at the choice, before anything is loaded", async () => {
  const watched = await openWatched(site, {
    allowOrigin: "https://models.test",
    expectedLog: /404/,
    prepare: (page) =>
      page.route("https://models.test/**", (route) => route.fulfill({ status: 404, body: "" })),
  });
  const { page } = watched;
  const address = page.getByLabel("Or from an address or hub");
  await address.fill("https://models.test:99999/x");
  await address.press("Enter");
  expect(
    await address.evaluate((field) => (field as HTMLInputElement).validationMessage),
  ).toContain("This is no address");
  await address.fill("https://models.test/tiny.guff");
  await address.press("Enter");
  const ahead = page.locator(".address-ahead");
  await expect.poll(() => ahead.innerText()).toContain("404");
  expect(await ahead.innerText()).toContain("Check the address.");
  expect(await page.getByRole("button", { name: "Load it" }).isVisible()).toBe(false);
  expect(await address.inputValue()).toBe("https://models.test/tiny.guff");
  await watched.close();
});
