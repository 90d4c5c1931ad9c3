import { createHash } from "node:crypto";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import type { Page, Route } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  type BuiltSite,
  openBuiltSite,
  openWatched,
  TINY_MODEL,
  tinyModelPath,
  type WatchOptions,
} from "./site.ts";

let site: BuiltSite;

beforeAll(async () => {
  site = await openBuiltSite();
});

afterAll(() => site?.close());

/** An address that is no secure context, answered with the built files. */
const PLAIN_HTTP = "http://plain.test/";

async function serveOverPlainHttp(page: Page): Promise<void> {
  await page.route(`${PLAIN_HTTP}**`, (route) => {
    const path = new URL(route.request().url()).pathname;
    if (path === "/icon.svg")
      return route.fulfill({ contentType: "image/svg+xml", body: "<svg/>" });
    return route.fulfill({ path: join(site.folder, path === "/" ? "index.html" : path) });
  });
}

interface Case extends WatchOptions {
  readonly title: string;
  readonly advice: string;
  readonly diagnostics: readonly (string | RegExp)[];
}

const CASES: Readonly<Record<string, Case>> = {
  "an insecure page": {
    url: PLAIN_HTTP,
    prepare: serveOverPlainHttp,
    title: "This page needs a secure address",
    advice: "https://",
    diagnostics: ["problem: insecure-context", "secure context: false", "user agent: Mozilla"],
  },
  "a browser without WebGPU": {
    init: () => Object.defineProperty(navigator, "gpu", { value: undefined }),
    title: "This browser has no WebGPU",
    advice: "Safari",
    diagnostics: ["problem: no-webgpu", "navigator.gpu: absent"],
  },
  "no adapter": {
    init: () => (navigator.gpu.requestAdapter = () => Promise.resolve(null)),
    title: "WebGPU is there, but found no GPU to use",
    advice: "chrome://flags/#enable-unsafe-webgpu",
    diagnostics: ["problem: no-adapter", "navigator.gpu: present", "adapter: none"],
  },
  "an adapter that can't be asked for": {
    init: () => (navigator.gpu.requestAdapter = () => Promise.reject(new Error("blocked here"))),
    title: "WebGPU is there, but found no GPU to use",
    advice: "hardware acceleration",
    diagnostics: ["problem: no-adapter", "detail: Error: blocked here"],
  },
  "limits that are too small": {
    init: () => {
      const request = navigator.gpu.requestAdapter.bind(navigator.gpu);
      navigator.gpu.requestAdapter = async (options) => {
        const adapter = await request(options);
        const limits: Record<string, unknown> = {};
        for (const name in adapter?.limits) {
          limits[name] = adapter.limits[name as keyof GPUSupportedLimits];
        }
        limits["maxStorageBuffersPerShaderStage"] = 4;
        Object.defineProperty(adapter, "limits", { value: limits });
        return adapter;
      };
    },
    title: "This GPU’s limits are too small",
    advice: "maxStorageBuffersPerShaderStage",
    diagnostics: [
      "problem: limits",
      "maxStorageBuffersPerShaderStage: 4",
      "architecture: swiftshader",
      /features: .+/,
    ],
  },
};

test.each(Object.entries(CASES))("says what to do about %s", async (_, given) => {
  const { title, advice, diagnostics, ...options } = given;
  const watched = await openWatched(site, options);
  const { page } = watched;
  const notice = page.getByRole("alert");
  await notice.getByRole("heading", { name: title }).waitFor();
  expect(await notice.textContent()).toContain(advice);
  await expectClosed(page);

  await notice.getByText("Diagnostics", { exact: true }).click();
  const text = (await notice.getByLabel("Diagnostics").textContent()) ?? "";
  for (const line of diagnostics) expect(text).toMatch(line);
  await watched.close();
});

/** Nothing can be asked, and nothing seems to be on its way. */
async function expectClosed(page: Page): Promise<void> {
  expect(await page.getByRole("textbox", { name: "Your question" }).isDisabled()).toBe(true);
  expect(await page.getByRole("button", { name: "Send" }).isDisabled()).toBe(true);
  expect(await page.getByRole("button", { name: /^Load / }).count()).toBe(0);
}

test("a software adapter may go on, and is said to be slow", async () => {
  const watched = await openWatched(site);
  await watched.page.getByRole("heading", { name: "No GPU in use: this will be slow" }).waitFor();
  const load = watched.page.getByRole("button", { name: "Load SmolLM2-135M-Instruct" });
  expect(await load.isEnabled()).toBe(true);
  const size = watched.page.locator(".load-size");
  await expect.poll(() => size.textContent()).toContain("93.8\u00a0MiB to get");
  await watched.close();
});

test("diagnostics are copied, or selected where the page has no clipboard", async () => {
  const secure = await openWatched(site, { permissions: ["clipboard-read", "clipboard-write"] });
  await secure.page.getByRole("button", { name: "Copy diagnostics" }).click();
  await secure.page.getByText("Copied.").waitFor();
  const copied = await secure.page.evaluate(() => navigator.clipboard.readText());
  expect(copied).toContain("architecture: swiftshader");
  await secure.close();

  const plain = await openWatched(site, { url: PLAIN_HTTP, prepare: serveOverPlainHttp });
  const alert = plain.page.getByRole("alert");
  await alert.getByRole("button", { name: "Copy diagnostics" }).click();
  await alert.getByText("Selected: press").waitFor();
  const selected = await plain.page.evaluate(() => String(getSelection()));
  expect(selected).toContain("problem: insecure-context");
  await plain.close();
});

test("a default model that isn't on the server is said, and a file can be opened", async () => {
  const watched = await openWatched(site, {
    expectedLog: /404/,
    prepare: (page) =>
      page.route("**/models/*", (route) => route.fulfill({ status: 404, body: "not found" })),
  });
  const { page } = watched;
  await page.getByText("It can’t be had from here").waitFor();
  await page.getByText("Open a file, or give an address, below.").waitFor();
  expect(await page.getByRole("button", { name: /^Load / }).isDisabled()).toBe(true);
  expect(await page.getByRole("button", { name: "Open a .gguf file" }).isEnabled()).toBe(true);
  await watched.close();
});

/** Answers a request to another origin, with its range, by a file that the site has. */
async function answerFromSite(route: Route, path: string): Promise<void> {
  const range = route.request().headers()["range"];
  const from = new URL(`../${path}`, `${site.url}x/`);
  const response = await fetch(from, range === undefined ? {} : { headers: { range } });
  await route.fulfill({
    status: response.status,
    headers: {
      "content-range": response.headers.get("content-range") ?? "",
      "access-control-allow-origin": "*",
      "access-control-expose-headers": "Content-Range",
    },
    body: Buffer.from(await response.arrayBuffer()),
  });
}

test("a model loads from an address that the user gives, and nothing else is asked for there", async () => {
  const asked: string[] = [];
  const ranges: string[] = [];
  const watched = await openWatched(site, {
    replayed: true,
    allowOrigin: "https://models.test",
    prepare: (page) =>
      page.context().route("https://models.test/**", async (route) => {
        asked.push(route.request().url());
        ranges.push(route.request().headers()["range"] ?? "");
        await answerFromSite(route, TINY_MODEL);
      }),
  });
  const { page } = watched;
  const address = page.getByRole("textbox", { name: "Or from an address or hub" });
  await address.fill("http://models.test/plain.gguf");
  await address.press("Enter");
  expect(await address.evaluate((input: HTMLInputElement) => input.validity.valid)).toBe(false);
  expect(asked).toEqual([]);
  await address.fill("https://models.test/some/tiny.gguf");
  await address.press("Enter");
  // Its size is said before more than its end is asked for.
  const loadIt = page.getByRole("button", { name: "Load it" });
  await loadIt.waitFor();
  const mib = ((await stat(tinyModelPath)).size / 2 ** 20).toFixed(1);
  const ahead = page.locator(".address-ahead");
  expect(await ahead.innerText()).toContain(`tiny.gguf: ${mib}\u00a0MiB to get.`);
  expect(await ahead.innerText()).toMatch(/The browser leaves [\d,.]+\sMiB to keep it in\./);
  expect(ranges).toEqual(["bytes=0-1"]);
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "Ask a question" }).waitFor();
  expect(new Set(asked)).toEqual(new Set(["https://models.test/some/tiny.gguf"]));
  expect(await page.locator("#model-name").innerText()).toBe("tiny.gguf");

  // It is kept: said, loaded without the network, deleted.
  await page.getByRole("button", { name: "Change the model" }).click();
  const requests = asked.length;
  await page.getByRole("button", { name: "Load tiny.gguf from this device" }).click();
  await page.getByRole("heading", { name: "Ask a question" }).waitFor();
  expect(asked).toHaveLength(requests);
  await page.getByRole("button", { name: "Change the model" }).click();
  expect(await page.locator(".kept-models").innerText()).toContain(`${mib}\u00a0MiB`);
  await page.getByRole("button", { name: "Delete tiny.gguf from this device" }).press("Enter");
  await expect.poll(() => page.locator(".kept-models").isVisible()).toBe(false);
  await address.press("Enter");
  await expect.poll(() => ahead.innerText()).toContain("MiB to get.");
  await watched.close();
});

test("a file of a hub is held against the hub's hash, and the steps say so", async () => {
  const hub = "https://huggingface.co";
  const file = await (await fetch(new URL(`../${TINY_MODEL}`, `${site.url}x/`))).arrayBuffer();
  const oid = createHash("sha256").update(Buffer.from(file)).digest("hex");
  const watched = await openWatched(site, {
    replayed: true,
    allowOrigin: hub,
    prepare: (page) =>
      page.context().route(`${hub}/**`, async (route) => {
        if (!route.request().url().includes("/raw/")) return answerFromSite(route, TINY_MODEL);
        return route.fulfill({
          headers: { "access-control-allow-origin": "*" },
          body: `version https://git-lfs.github.com/spec/v1\noid sha256:${oid}\nsize 1\n`,
        });
      }),
  });
  const { page } = watched;
  const seen: string[] = [];
  await page.exposeFunction("noteStep", (step: string) => void seen.push(step));
  await page.evaluate(() => {
    const { noteStep } = globalThis as unknown as { noteStep(step: string): void };
    new MutationObserver(() => {
      const step = document.querySelector(".steps [data-step=now]")?.textContent;
      if (step) noteStep(step);
    }).observe(document.body, { childList: true, subtree: true, attributes: true });
  });
  const address = page.getByRole("textbox", { name: "Or from an address or hub" });
  await address.fill("tests/tiny/tiny.gguf");
  await address.press("Enter");
  await page.getByRole("button", { name: "Load it" }).click();
  await page.getByRole("heading", { name: "Ask a question" }).waitFor();
  const [got, checked] = ["Get the file", "Check the file"].map((step) => seen.indexOf(step));
  expect(got).toBeGreaterThanOrEqual(0);
  expect(checked).toBeGreaterThan(got);
  await watched.close();
});

test("a repository of a hub loads by its name; its files come from there alone", async () => {
  const asked: string[] = [];
  const hub = "https://huggingface.co";
  const watched = await openWatched(site, {
    allowOrigin: hub,
    // A folder may lack what isn't needed.
    expectedLog: /404/,
    prepare: (page) =>
      page.context().route(`${hub}/**`, async (route) => {
        const path = new URL(route.request().url()).pathname.replace(
          "/tests/tiny/resolve/main/",
          "",
        );
        asked.push(path);
        await answerFromSite(route, `hf-llama/${path}`);
      }),
  });
  const { page } = watched;
  const address = page.getByRole("textbox", { name: "Or from an address or hub" });
  await address.fill("tests/tiny");
  await address.press("Enter");
  await page.getByText(/tests\/tiny: [\d.]+\sMiB to get. It isn’t kept on this device./).waitFor();
  await page.getByRole("button", { name: "Load it" }).click();
  await page.getByRole("heading", { name: "Ask a question" }).waitFor();
  expect(await page.locator("#model-name").innerText()).toBe("tests/tiny");
  expect(new Set(asked)).toContain("config.json");
  expect(new Set(asked)).toContain("model-00003-of-00003.safetensors");
  await watched.close();
});
