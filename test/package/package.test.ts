import { cp, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { build as esbuild, type OutputFile } from "esbuild";
import type { Browser, Page } from "playwright-core";
import { publint } from "publint";
import { formatMessage } from "publint/utils";
import { build as vite, createServer } from "vite";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import webpack from "webpack";
import { launchBrowser } from "../browser/launch.ts";
import { serveStatic } from "../browser/static-server.ts";
import { type Consumer, makeConsumer, run, runModule, TOP } from "./consumer.ts";

/** Most bytes of an app, minified, that only asks a server. */
const MAX_REMOTE_BYTES = 30_000;

let consumer: Consumer;
let browser: Browser;

beforeAll(async () => {
  consumer = await makeConsumer();
  browser = await launchBrowser();
});

afterAll(async () => {
  await browser?.close();
  await consumer?.close();
});

interface Manifest {
  readonly exports: Readonly<Record<string, string | Readonly<Record<string, string>>>>;
}

const manifest = async (): Promise<Manifest> =>
  JSON.parse(await readFile(join(consumer.packed, "package.json"), "utf8")) as Manifest;

/** Names under which the package is imported. */
const entries = async (): Promise<string[]> =>
  Object.keys((await manifest()).exports)
    .filter((path) => path !== "./package.json")
    .map((path) => `ziggurat-llm${path.slice(1)}`);

test("the tarball has the built package and its papers, and nothing else", () => {
  const { files } = consumer;
  const other = files.filter((path) => !/^dist\/(package|cli)\//.test(path));
  expect(other.toSorted()).toEqual(["CHANGELOG.md", "LICENSE", "README.md", "package.json"]);
  const built = files.filter((path) => path.startsWith("dist/package/"));
  expect(built.filter((path) => !/\.(js|d\.ts)$/.test(path))).toEqual([]);
});

test("its command says what it needs, and answers once it has that", async () => {
  const command = join(consumer.packed, "dist/cli/ziggurat.js");
  const model = join(TOP, "test/golden/data/tiny-flow.gguf");
  const ziggurat = (...args: string[]): ReturnType<typeof run> =>
    run(process.execPath, [command, ...args], { cwd: consumer.folder });
  expect((await ziggurat("inspect", "--model", model)).stdout).toContain("llama");
  const ask = ["generate", "--model", model, "--prompt", "31415", "--raw", "--max-tokens", "3"];
  await expect(ziggurat(...ask)).rejects.toThrow("npm install webgpu@");
  for (const name of ["webgpu", "@sparticuz"]) await consumer.install(name);
  const { tokenIds } = JSON.parse((await ziggurat(...ask, "--json")).stdout) as {
    tokenIds: number[];
  };
  expect(tokenIds).toHaveLength(3);
});

test("publint and are-the-types-wrong find nothing", async () => {
  const { messages, pkg } = await publint({ pkgDir: consumer.packed, pack: false, strict: true });
  expect(messages.map((message) => formatMessage(message, pkg))).toEqual([]);
  const attw = "@arethetypeswrong/cli/dist/index.js";
  await runModule(attw, [consumer.tarball, "--profile", "esm-only"], consumer.folder);
});

test("importing it in Node touches nothing of a browser's", async () => {
  const program = `
    for (const name of ["navigator", "document", "self", "window", "Worker", "localStorage"]) {
      const get = () => { throw new Error("touched " + name); };
      Object.defineProperty(globalThis, name, { get, configurable: true });
    }
    for (const entry of process.argv.slice(1)) {
      const names = Object.keys(await import(entry));
      console.log(entry, names.length > 0);
    }`;
  const names = await entries();
  const args = ["--input-type=module", "-e", program, ...names];
  const { stdout, stderr } = await run(process.execPath, args, { cwd: consumer.folder });
  expect(stderr).toBe("");
  // The worker's entry is there for what it does, and exports nothing.
  const exports = names.map((name) => `${name} ${!name.endsWith("/worker")}`);
  expect(stdout.trim().split("\n")).toEqual(exports);
});

test("the standalone file imports nothing, and no file evaluates text", async () => {
  const folder = join(consumer.packed, "dist/package");
  const names = await readdir(folder, { recursive: true });
  for (const name of names.filter((path) => path.endsWith(".js"))) {
    const code = await readFile(join(folder, name), "utf8");
    expect(code, name).not.toMatch(/\beval\(|new Function\(|WebAssembly|SharedArrayBuffer/);
    const isInline = /^(inline|shared.worker)\.js$/.test(name);
    expect([name, !isInline && code.includes("new Worker(")]).toEqual([name, false]);
    const imports = [...code.matchAll(/\bfrom\s*"([^"]+)"|\bimport\s*"([^"]+)"/g)];
    const outside = imports.filter(([, from, bare]) => !(from ?? bare)?.startsWith("."));
    expect([name, /^(standalone|inline|elements)/.test(name) && outside.length > 0]).toEqual([
      name,
      false,
    ]);
  }
});

test("its types compile under TypeScript 5.9, 6 and 7, every declaration checked", async () => {
  const options = ["--strict", "--noEmit", "--skipLibCheck", "false", "--target", "es2023"];
  const modules = ["--module", "preserve", "--moduleResolution", "bundler"];
  const lib = ["--lib", "es2023,dom,dom.iterable,dom.asynciterable", "types/use.ts"];
  const common = [...options, ...modules, ...lib];
  await runModule("typescript/bin/tsc", ["--types", "@webgpu/types", ...common], consumer.folder);
  for (const name of ["typescript-6", "typescript-7"]) {
    await runModule(`${name}/bin/tsc`, common, consumer.folder);
  }
});

test("an app that takes one thing from it gets no other", async () => {
  const { outputFiles } = await esbuild({
    stdin: {
      contents: `export { remoteEngine } from "ziggurat-llm";`,
      resolveDir: consumer.folder,
    },
    ...{ bundle: true, minify: true, format: "esm", write: false },
  });
  const [app] = outputFiles as [OutputFile];
  expect(app.text).toContain("chat/completions");
  expect(app.contents.length).toBeLessThan(MAX_REMOTE_BYTES);
});

/** Opens a page, and fails where it breaks its policy or throws. */
async function open(url: string): Promise<Page> {
  const page = await browser.newPage();
  await page.addInitScript(() => {
    document.addEventListener("securitypolicyviolation", ({ violatedDirective, blockedURI }) => {
      document.body.append(`broke its policy: ${violatedDirective} ${blockedURI}`);
    });
  });
  page.on(
    "pageerror",
    (error) => void page.evaluate((text) => document.body.append(text), `${error}`),
  );
  await page.goto(url);
  await page.waitForFunction(() => document.body.textContent?.trim() !== "");
  return page;
}

/** What the app writes when the worker has answered with an error of the right class. */
const ANSWERED = "true ModelFormatError model-format";

/** Serves a folder, opens it, and gives what the app writes. */
async function pageText(folder: string): Promise<string> {
  const site = await serveStatic([folder], "/some/where/");
  try {
    const page = await open(site.url);
    const text = await page.locator("body").textContent();
    await page.close();
    return text?.trim() ?? "";
  } finally {
    await site.close();
  }
}

describe("an app with a worker of its own", () => {
  const app = (): string => join(consumer.folder, "app");
  const shared = { configFile: false, logLevel: "warn", base: "./" } as const;

  // Which puts a worker, with what it imports on demand, into one file.
  test("built by Vite as it comes", async () => {
    await vite({ ...shared, root: app(), build: { outDir: "by-vite" } });
    const assets = await readdir(join(app(), "by-vite/assets"));
    const worker = assets.find((name) => name.startsWith("llm.worker")) ?? "";
    const code = await readFile(join(app(), "by-vite/assets", worker), "utf8");
    expect(code).not.toMatch(/\bimport\(/);
    expect(await pageText(join(app(), "by-vite"))).toBe(ANSWERED);
  });

  test("served by Vite's dev server", async () => {
    const server = await createServer({ ...shared, root: app(), server: { port: 0, ws: false } });
    try {
      await server.listen();
      const page = await open(server.resolvedUrls?.local[0] ?? "");
      await expect.poll(() => page.locator("body").textContent()).toContain(ANSWERED);
      await page.close();
    } finally {
      await server.close();
    }
  });

  test("built by webpack", async () => {
    const compiler = webpack({
      context: app(),
      mode: "production",
      optimization: { minimize: false },
      entry: "./main.js",
      experiments: { outputModule: true },
      output: { path: join(app(), "by-webpack"), filename: "main.js", module: true },
    });
    const stats = await promisify(compiler.run.bind(compiler))();
    expect(stats?.compilation.errors).toEqual([]);
    await cp(join(app(), "index.html"), join(app(), "by-webpack/index.html"));
    expect(await pageText(join(app(), "by-webpack"))).toBe(ANSWERED);
  });

  test("built by esbuild, page and worker each on its own", async () => {
    const outdir = join(app(), "by-esbuild");
    const entryPoints = ["main.js", "llm.worker.js"].map((name) => join(app(), name));
    await esbuild({ entryPoints, outdir, bundle: true, minify: true, format: "esm" });
    await cp(join(app(), "index.html"), join(outdir, "index.html"));
    expect(await pageText(outdir)).toBe(ANSWERED);
  });
});

test("a plain page draws a saved snapshot with the charts alone, under script-src 'self'", async () => {
  const folder = join(consumer.folder, "plain");
  await cp(consumer.packed, join(folder, "ziggurat-llm"), { recursive: true });
  const site = await serveStatic([folder], "/some/where/");
  try {
    const page = await open(new URL("chart.html", site.url).href);
    const rows = page.locator("zig-pyramid tbody tr");
    await expect.poll(() => rows.count()).toBe(3);
    const inUse = await rows.evaluateAll((all) => all.map((row) => row.children[2]?.textContent));
    expect(inUse).toEqual(["610", "410", "303"]);
    expect(await page.locator("zig-meter .saved dd").innerText()).toBe(
      "5.4\u00a0MiB (61.3\u00a0%)",
    );
    expect(await page.locator("body").innerText()).not.toContain("broke");
    await page.close();
  } finally {
    await site.close();
  }
});

test("a plain page without a bundler, under script-src 'self'", async () => {
  const folder = join(consumer.folder, "plain");
  await cp(consumer.packed, join(folder, "ziggurat-llm"), { recursive: true });
  const site = await serveStatic([folder, join(TOP, "test/golden/data")], "/some/where/");
  try {
    const page = await open(site.url);
    const inlineError = await page.evaluate("inlineError()");
    expect(inlineError).toContain(`SourceError ${site.url}missing.gguf`);
    const { text, total } = await page.evaluate<{ text: string; total: number }>("answer()");
    expect(text).not.toBe("");
    expect(total).toBe(0);
    expect(await page.locator("body").textContent()).toContain("ready");
    expect(await page.locator("body").textContent()).not.toContain("broke");
    await page.close();
  } finally {
    await site.close();
  }
});
