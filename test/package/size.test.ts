import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import type { Browser, Page } from "playwright-core";
import { build, type Plugin } from "vite";
import { afterAll, beforeAll, expect, test } from "vitest";
import { packageSettings } from "../../src/cli/build-package.ts";
import { launchBrowser } from "../browser/launch.ts";
import { serveStatic, type StaticSite } from "../browser/static-server.ts";
import { TOP } from "./consumer.ts";

/**
 * Most bytes of the core: every script, minified and each gzipped by itself, that a browser fetches for an app that
 * imports `loadEngine`, loads a GGUF model with the default cache and streams an answer with the default options; but
 * for `src/text`, the tokenizer and the template engine, which are built apart here. The browser of the tests computes on
 * a CPU, so kernels for CPUs are counted on top of those for GPUs.
 */
const MAX_CORE_BYTES = 60_000;

/** The same with a cache that evicts. */
const MAX_CORE_BYTES_COMPRESSED = 74_000;

const APP = `
import { loadEngine, LlmError } from ${JSON.stringify(join(TOP, "src/index.ts"))};
let engine;
window.answer = async (cache) => {
  await engine?.destroy();
  engine = await loadEngine("tiny-flow.gguf", { cache });
  let text = "";
  for await (const piece of engine.generate("31415926", { maxTokens: 8 })) text += piece.text;
  return text;
};
window.save = () => engine.save().then(
  (saved) => saved.size,
  (error) => error instanceof LlmError && error.code,
);
window.loadAllParts = () => engine.loadAllParts();
window.sample = () => engine.generate("31415926", { temperature: 1, logprobs: 1, maxTokens: 2 }).result;`;

const PAGE = `<script type="importmap">{ "imports": { "text/": "./text/" } }</script>
<script type="module" src="core/app.js"></script>`;

/** Leaves `src/text` where it is built apart. */
const textApart: Plugin = {
  name: "text-apart",
  enforce: "pre",
  resolveId(source) {
    const [, name] = /\/text\/([\w-]+)\.ts$/.exec(source) ?? [];
    return name === undefined ? undefined : { id: `text/${name}.js`, external: true };
  },
};

/** Builds the app and what it needs of `src/text`, as the package is built. */
async function buildApp(to: string): Promise<void> {
  const app = join(to, "app-source.js");
  await writeFile(app, APP);
  await writeFile(join(to, "index.html"), PAGE);
  const core = packageSettings(join(to, "core"), { app }, []);
  await build({ ...core, plugins: [...(core.plugins ?? []), textApart] });
  const text = join(TOP, "src/text");
  const names = (await readdir(text)).map((file) => file.replace(".ts", ""));
  const entries = Object.fromEntries(names.map((name) => [name, join(text, `${name}.ts`)]));
  await build(packageSettings(join(to, "text"), entries, []));
}

/** The script that only saved sessions need. */
const SAVES = /\/session\.js$/;

let folder: string;
let site: StaticSite;
let browser: Browser;
let page: Page;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "ziggurat-size-"));
  await buildApp(folder);
  site = await serveStatic([folder, join(TOP, "test/golden/data")], "/some/where/");
  browser = await launchBrowser();
  page = await browser.newPage();
});

async function openPage(): Promise<void> {
  await page.goto(site.url);
  await page.waitForFunction("window.answer");
}

afterAll(async () => {
  await browser?.close();
  await site?.close();
  await rm(folder, { recursive: true });
});

test("the core, which an app has that only loads models and asks them, is small", async () => {
  const fetched = new Set<string>();
  const scripts = new URL("core/", site.url).href;
  page.on("request", (request) => {
    const url = request.url();
    if (url.startsWith(scripts)) fetched.add(url.slice(scripts.length));
  });
  const bytes = async (): Promise<number> => {
    const names = [...fetched].filter((name) => !SAVES.test(`/${name}`));
    const files = names.map((name) => readFile(join(folder, "core", name)));
    const sizes = (await Promise.all(files)).map((file) => gzipSync(file, { level: 9 }).length);
    return sizes.reduce((sum, size) => sum + size, 0);
  };
  // What only saving needs is not there: that is said, and all the rest works.
  await page.route(SAVES, (route) => route.abort());
  await openPage();
  expect(await page.evaluate("answer()")).not.toBe("");
  expect(await page.evaluate("save()")).toBe("module-load");
  const core = await bytes();
  expect(core).toBeGreaterThan(MAX_CORE_BYTES / 2); // it is all there
  expect(core).toBeLessThan(MAX_CORE_BYTES);
  await page.unroute(SAVES);
  await openPage(); // a browser doesn't ask twice for what it failed to get
  await page.evaluate("answer({ policy: 'pyramidkv', budget: 16 })");
  const withCompression = await bytes();
  console.info(`core: ${core} bytes, with a compressed cache ${withCompression}`);
  expect(withCompression).toBeLessThan(MAX_CORE_BYTES_COMPRESSED);
});

test("all parts are fetched when they are asked for, and nothing after that", async () => {
  await page.evaluate("loadAllParts()");
  await page.context().setOffline(true);
  expect(await page.evaluate("save()")).toBeGreaterThan(1000);
  const { logprobs } = await page.evaluate<{ logprobs: unknown[] }>("sample()");
  expect(logprobs).toHaveLength(2);
});
