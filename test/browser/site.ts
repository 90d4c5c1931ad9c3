import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Browser, BrowserContextOptions, Page, Worker } from "playwright-core";
import { type Alias, build } from "vite";
import { expect, inject } from "vitest";
import { launchBrowser } from "./launch.ts";
import { type ReplayedRun, SHORT_TURNS } from "./replay/runs.ts";
import { serveStatic } from "./static-server.ts";

/** A small random model with a long context: it answers fast, and writes nonsense. */
export const TINY_MODEL = "tiny-flow.gguf";

const TOP = fileURLToPath(new URL("../..", import.meta.url));

/** Models load and answer in seconds; a busy machine may need far longer. */
const PATIENCE_MS = 120_000;

/** The site as `npm run build` makes it, in a sub-folder of a static host, and a browser to open it in. */
export interface BuiltSite {
  readonly browser: Browser;
  readonly url: string;
  /** The folder that it was built into, maybe for others too. */
  readonly folder: string;
  close(): Promise<void>;
}

/** Pages of the tests' own, in a folder of theirs. */
export interface OwnPages {
  readonly root: string;
  readonly pages: readonly string[];
  readonly alias?: Alias[];
}

/** Serve the site as it is published. Models aren't copied into it: they are served from where they lie. */
export function openBuiltSite(): Promise<BuiltSite> {
  return open(inject("siteFolder"));
}

/** Build and serve pages of the tests' own. */
export async function openOwnPages(own: OwnPages): Promise<BuiltSite> {
  const folder = await mkdtemp(join(tmpdir(), "ziggurat-site-"));
  const root = join(TOP, own.root);
  await build({
    configFile: false,
    logLevel: "warn",
    base: "./",
    root,
    resolve: { alias: own.alias ?? [] },
    build: {
      outDir: folder,
      copyPublicDir: false,
      target: "es2023",
      emptyOutDir: true,
      rolldownOptions: { input: own.pages.map((page) => join(root, page)) },
    },
  });
  return open(folder, () => rm(folder, { recursive: true }));
}

async function open(folder: string, cleanUp?: () => Promise<void>): Promise<BuiltSite> {
  const folders = [folder, join(TOP, "public"), join(TOP, "test/golden/data")];
  const site = await serveStatic(folders, "/some/folder/");
  const browser = await launchBrowser();
  return {
    browser,
    url: site.url,
    folder,
    async close() {
      await browser.close();
      await site.close();
      await cleanUp?.();
    },
  };
}

/** A page of the site that notes everything that must not happen. */
export interface WatchedPage {
  readonly page: Page;
  /** Fails if the page broke its CSP, threw, logged an error, or asked another origin for anything. */
  close(): Promise<void>;
}

export interface WatchOptions extends BrowserContextOptions {
  /** Runs in the page before its own scripts. */
  readonly init?: () => void;
  /** The page to open; by default the site's own address. */
  readonly url?: string;
  /** No model runs: see `replayRuns`. */
  readonly replayed?: boolean;
  /** Called before the page is opened. */
  readonly prepare?: (page: Page) => Promise<unknown>;
  /** An origin that the user chooses to load from. */
  readonly allowOrigin?: string;
  /** Logged errors that belong to the case (a file that isn't there, say). */
  readonly expectedLog?: RegExp;
}

/** Open the chat page in a context of its own. */
export async function openWatched(
  site: BuiltSite,
  options: WatchOptions = {},
): Promise<WatchedPage> {
  const {
    init,
    url = site.url,
    replayed,
    prepare,
    allowOrigin,
    expectedLog,
    ...contextOptions
  } = options;
  const context = await site.browser.newContext({
    viewport: { width: 1280, height: 800 },
    ...contextOptions,
  });
  context.setDefaultTimeout(PATIENCE_MS);
  const page = await context.newPage();
  const faults: string[] = [];
  const origin = new URL(url).origin;
  page.on("pageerror", (error) => faults.push(`thrown: ${error.stack ?? error.message}`));
  page.on("console", (message) => {
    if (message.type() !== "error" || expectedLog?.test(message.text())) return;
    faults.push(`logged: ${message.text()}`);
  });
  context.on("request", (request) => {
    const asked = new URL(request.url()).origin;
    if (asked !== origin && asked !== allowOrigin) faults.push(`asked for ${request.url()}`);
  });
  await page.exposeFunction("noteViolation", (what: string) => faults.push(`CSP: ${what}`));
  await page.addInitScript(() => {
    document.addEventListener("securitypolicyviolation", (event) => {
      const note = (globalThis as unknown as { noteViolation(what: string): void }).noteViolation;
      note(`${event.violatedDirective} ${event.blockedURI} ${event.sample}`);
    });
  });
  await beforeWorker(page, slowReadBacks);
  if (replayed) await replayRuns(page);
  if (init !== undefined) await page.addInitScript(init);
  await prepare?.(page);
  await page.goto(url);
  return {
    page,
    async close() {
      await context.close();
      expect(faults).toEqual([]);
    },
  };
}

const workerScripts = new WeakMap<Page, (() => void)[]>();

/** The worker that runs the chat page's model now; another one colours code. */
export function modelWorker(page: Page): Worker {
  return page
    .workers()
    .filter((worker) => worker.url().includes("llm.worker"))
    .at(-1) as Worker;
}

/** Let this run in the page's next workers that hold a model, before the worker's own script and after what was added before. */
export async function beforeWorker(page: Page, script: () => void): Promise<void> {
  const scripts = workerScripts.get(page);
  if (scripts !== undefined) return void scripts.push(script);
  const own = [script];
  workerScripts.set(page, own);
  await page.route("**/{llm,memory}.worker-*.js", async (route) => {
    const response = await route.fetch();
    const first = own.map((one) => `(${one})();`).join("");
    await route.fulfill({ response, body: `${first}${await response.text()}` });
  });
}

/**
 * Let the page's next workers do a run over again instead of running a model. On a software adapter, every
 * load costs ten seconds and more of compiling kernels: so this is how to test what the page does with
 * answers, whatever they are.
 */
export async function replayRuns(page: Page, run: ReplayedRun = SHORT_TURNS): Promise<void> {
  const worker = await readFile(inject("replayWorker"), "utf8");
  const body = `globalThis.replayedRun = ${JSON.stringify(run)};${worker}`;
  await page.route("**/llm.worker-*.js", (route) =>
    route.fulfill({ body, contentType: "text/javascript" }),
  );
}

/** In the worker: the tiny model would else write its whole answer between two looks at it. */
function slowReadBacks(): void {
  if (!("GPUBuffer" in globalThis)) return;
  const { mapAsync } = GPUBuffer.prototype;
  GPUBuffer.prototype.mapAsync = async function (...args) {
    await new Promise((resolve) => setTimeout(resolve, 50));
    return mapAsync.apply(this, args);
  };
}

/** The path of the tiny model on disk. */
export const tinyModelPath: string = join(TOP, "test/golden/data", TINY_MODEL);

/** Let the page get the tiny model at the default model's address. */
export async function serveTinyAsDefault(page: Page): Promise<void> {
  await page.route("**/models/*.gguf", (route) =>
    route.continue({ url: new URL(`../${TINY_MODEL}`, route.request().url()).href }),
  );
}

/** Load the tiny model as a file of the user's. */
export async function loadTiny(page: Page): Promise<void> {
  await page.getByRole("button", { name: "Open a .gguf file" }).waitFor();
  await page.setInputFiles("#file", tinyModelPath);
  await page.getByRole("heading", { name: "Ask a question" }).waitFor();
}

/** Write a question and send it by the keyboard; its turn is there when this returns. */
export async function ask(page: Page, question: string): Promise<void> {
  await drawn(page);
  const turns = await page.locator(".turn").count();
  await page.getByRole("textbox", { name: "Your question" }).fill(question);
  await page.keyboard.press("Enter");
  await page.waitForFunction((before) => document.querySelectorAll(".turn").length > before, turns);
}

/** Wait until the page shows what it was told before: it draws once a frame. */
export async function drawn(page: Page): Promise<void> {
  await page.evaluate(
    () => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))),
  );
}

/** Wait until the last turn is in this state, looking at every frame. */
export async function turnIs(page: Page, wanted: string): Promise<void> {
  await page.waitForFunction((state) => {
    const turns = document.querySelectorAll<HTMLElement>(".turn");
    return turns[turns.length - 1]?.dataset["state"] === state;
  }, wanted);
}

/** The text of the last answer. */
export async function lastAnswer(page: Page): Promise<string> {
  return (await page.locator(".turn:last-child .answer").textContent()) ?? "";
}

/** In the worker: report the next buffers as too much, as a full GPU does. */
export function runOutOfMemory(): void {
  const { createBuffer } = GPUDevice.prototype;
  GPUDevice.prototype.createBuffer = function (descriptor) {
    const error = new GPUOutOfMemoryError("stub: no room");
    this.dispatchEvent(new GPUUncapturedErrorEvent("uncapturederror", { error }));
    return createBuffer.call(this, descriptor);
  };
  GPUDevice.prototype.popErrorScope = () => Promise.resolve(new GPUOutOfMemoryError("stub"));
}
