import type { Locator, Page, Worker } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { traceToJson } from "../../src/profile.ts";
import { sampleTrace } from "../unit/sample-trace.ts";
import {
  type BuiltSite,
  openBuiltSite,
  openWatched,
  runOutOfMemory,
  serveTinyAsDefault,
  tinyModelPath,
  type WatchedPage,
  type WatchOptions,
} from "./site.ts";

let site: BuiltSite;

beforeAll(async () => {
  site = await openBuiltSite();
});

afterAll(() => site?.close());

const runFile = {
  name: "run.json",
  mimeType: "application/json",
  buffer: Buffer.from(traceToJson(sampleTrace())),
};

const open = (options: WatchOptions = {}): Promise<WatchedPage> =>
  openWatched(site, { url: new URL("memory.html", site.url).href, ...options });

const status = (page: Page): Promise<string> => page.locator("#status").innerText();
const button = (page: Page, name: string): Locator =>
  page.getByRole("button", { name, exact: true });
const notice = (page: Page): Locator => page.getByRole("alert");

/** How a load ended: what stands in its line, or, where it failed, why. */
const outcome = async (page: Page): Promise<string> =>
  (await status(page)) || (await notice(page).allInnerTexts()).join(" ");

const noModel = {
  name: "notes.gguf",
  mimeType: "",
  buffer: Buffer.from("just some notes".repeat(9)),
};

/** Drop a file on the page, or only hold it over the page. */
async function drag(page: Page, name: string, types: readonly string[]): Promise<void> {
  await page.evaluate(
    ([file, events]) => {
      const dataTransfer = new DataTransfer();
      dataTransfer.items.add(new File(["no model at all, only words in a file"], file));
      for (const type of events) {
        dispatchEvent(new DragEvent(type, { dataTransfer, cancelable: true }));
      }
    },
    [name, types] as const,
  );
}

test("a run goes on alone: files wait, Stop stops it, and an engine that ended is loaded again", async () => {
  const watched = await open();
  const { page } = watched;
  await page.setInputFiles("#model-file", tinyModelPath);
  await expect.poll(() => outcome(page)).toContain("is loaded.");
  await page.locator("#run-tokens").fill("4000");
  await button(page, "Run").click();
  await button(page, "Keep this run to compare").waitFor();
  expect(await status(page)).toBe("Running…");
  for (const name of ["Run", "Open a .gguf file", "Open an exported run", "Check for leaks"]) {
    expect(await button(page, name).isDisabled()).toBe(true);
  }
  // Neither a run nor a model takes its place.
  await page.setInputFiles("#run-file", runFile);
  await expect.poll(() => status(page)).toContain("Something is under way");
  await drag(page, "dropped.gguf", ["drop"]);
  expect(await button(page, "Run").isDisabled()).toBe(true);
  expect(await page.locator("#adapter-name").innerText()).not.toContain("made up");
  await button(page, "Stop").click();
  await expect.poll(() => status(page)).toBe("Stopped.");
  expect(await notice(page).count()).toBe(0);

  // What can be put right in the form is said in one line, and the engine stays.
  await page.locator("#run-budget").fill("none");
  await button(page, "Run").click();
  await expect.poll(() => status(page)).toContain("budget");
  expect(await notice(page).count()).toBe(0);
  await page.locator("#run-budget").fill("12%");

  const worker = page.workers().find((one) => one.url().includes("memory.worker")) as Worker;
  await worker.evaluate(runOutOfMemory);
  await button(page, "Run").click();
  await notice(page).getByRole("heading", { name: "The GPU ran out of memory" }).waitFor();
  expect(await notice(page).textContent()).toContain("What is shown below stays.");
  expect(await page.locator("#run-form").isVisible()).toBe(false);
  await notice(page).getByRole("button", { name: "Load the model again" }).click();
  await expect.poll(() => outcome(page)).toContain("is loaded.");
  expect(await notice(page).count()).toBe(0);
  expect(await page.locator("#run-form").isVisible()).toBe(true);

  // Without an engine there is nothing to run.
  await page.setInputFiles("#model-file", noModel);
  const title = { name: "This file is damaged, or it is no model" };
  await notice(page).getByRole("heading", title).waitFor();
  expect(await notice(page).textContent()).toContain("notes.gguf: magic should be");
  expect(await notice(page).textContent()).not.toContain("conversation");
  expect(await page.locator("#run-form").isVisible()).toBe(false);
  const chooser = page.waitForEvent("filechooser");
  await notice(page).getByRole("button", { name: "Open another file" }).click();
  await chooser;
  await watched.close();
});

test("the offered model: its size, a first load that can be stopped, and a copy that isn't fetched again", async () => {
  let release = (): void => {};
  const held = new Promise<void>((resolve) => (release = resolve));
  let fetched = 0;
  const watched = await open({
    prepare: async (page) => {
      await serveTinyAsDefault(page);
      // After the size is known, the file hangs.
      await page.route("**/models/*.gguf", async (route) => {
        if (route.request().headers()["range"] !== "bytes=0-1") {
          fetched++;
          await held;
        }
        await route.fallback().catch(() => {});
      });
    },
  });
  const { page } = watched;
  const load = button(page, "Load SmolLM2-135M-Instruct");
  const offer = page.locator("#offer");
  await expect.poll(() => offer.innerText()).toMatch(/^\d+\.\d\sMiB to get\.$/);
  await load.click();
  await expect.poll(() => page.locator("#figures").innerText()).toMatch(/^Getting the file/);
  await button(page, "Stop").click();
  await expect.poll(() => status(page)).toBe("Stopped.");
  expect(await load.isEnabled()).toBe(true);

  const figures = await page.evaluateHandle(() => {
    const seen = new Set<string | null>();
    const element = document.querySelector("#figures")!;
    new MutationObserver(() => seen.add(element.textContent)).observe(element, {
      childList: true,
    });
    return seen;
  });
  release();
  await load.click();
  await expect.poll(() => outcome(page)).toContain("is loaded.");
  const words = await figures.evaluate((seen) => [...seen]);
  expect(words).toContainEqual(expect.stringMatching(/^Getting the file: .*MiB of .*MiB/));
  expect(words).toContainEqual(expect.stringMatching(/^Uploading the weights.*MiB of .*MiB/));

  await page.reload();
  await expect.poll(() => offer.innerText()).toMatch(/^It is on this device \(/);
  const before = fetched;
  await load.click();
  await expect.poll(() => page.locator("#figures").innerText()).toMatch(/^(Upload|Compil)/);
  expect(fetched).toBe(before);
  await watched.close();
});

test("without a GPU that is said, with diagnostics, and an exported run opens all the same", async () => {
  const watched = await open({
    init: () => Object.defineProperty(navigator, "gpu", { value: undefined }),
  });
  const { page } = watched;
  await notice(page).getByRole("heading", { name: "This browser has no WebGPU" }).waitFor();
  expect(await notice(page).locator("pre").textContent()).toContain("problem: no-webgpu");
  for (const name of ["Load SmolLM2-135M-Instruct", "Open a .gguf file"]) {
    expect(await button(page, name).isDisabled()).toBe(true);
  }
  await page.setInputFiles("#run-file", runFile);
  await expect.poll(() => status(page)).toContain("run.json: sample");
  await watched.close();
});

test("a file over the page is awaited; one named .GGUF is a model", async () => {
  const watched = await open();
  const { page } = watched;
  await page.getByRole("heading", { name: "No GPU in use: this will be slow" }).waitFor();
  const hint = page.getByText("Drop an exported run or a .gguf file");
  await drag(page, "DROPPED.GGUF", ["dragover"]);
  expect(await hint.isVisible()).toBe(true);
  await drag(page, "DROPPED.GGUF", ["dragleave"]);
  expect(await hint.isVisible()).toBe(false);
  await drag(page, "DROPPED.GGUF", ["dragover", "drop"]);
  await page.getByText("DROPPED.GGUF: magic should be").waitFor();
  expect(await hint.isVisible()).toBe(false);
  await watched.close();
});

/** The colour of the first canvas point of the heatmap that is fully drawn, and the page's ground. */
function colours(page: Page): Promise<readonly string[]> {
  return page.evaluate(async () => {
    for (let i = 0; i < 3; i++) await new Promise(requestAnimationFrame);
    const canvas = document.querySelector("#heatmap")!.shadowRoot!.querySelector("canvas")!;
    const { data } = canvas.getContext("2d")!.getImageData(1, canvas.height - 4, 1, 1);
    return [data.slice(0, 3).join(), getComputedStyle(document.body).backgroundColor];
  });
}

test("the theme: the chat page's choice holds here, and a switch of the system's colours the canvas anew", async () => {
  const watched = await open({ colorScheme: "light" });
  const { page } = watched;
  await page.setInputFiles("#run-file", runFile);
  await expect.poll(() => status(page)).toContain("run.json: sample");
  const light = await colours(page);
  await page.emulateMedia({ colorScheme: "dark" });
  const dark = await colours(page);
  expect(dark[0]).not.toBe(light[0]);
  expect(dark[1]).not.toBe(light[1]);
  // As the settings of the chat page keep it.
  await page.evaluate(() => localStorage.setItem("ziggurat-theme", "light"));
  await page.reload();
  await page.setInputFiles("#run-file", runFile);
  await expect.poll(() => status(page)).toContain("run.json: sample");
  expect(await colours(page)).toEqual(light);
  await watched.close();
});

test("a page that follows a chat page which is gone says so, and what to do", async () => {
  const chat = await openWatched(site, { replayed: true });
  const memory = await chat.page.context().newPage();
  const link = chat.page.locator("#memory-link");
  await memory.goto(await link.evaluate((element: HTMLAnchorElement) => element.href));
  await expect.poll(() => status(memory)).toContain("The chat page has no model loaded now");
  await chat.page.goto("about:blank");
  await expect.poll(() => status(memory)).toContain("The chat page was closed or loaded again");
  await chat.close();
});
