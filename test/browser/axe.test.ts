import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { createRequire } from "node:module";
import { join } from "node:path";
import type axe from "axe-core";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { traceToJson } from "../../src/profile.ts";
import { sampleTrace } from "../unit/sample-trace.ts";
import {
  ask,
  beforeWorker,
  type BuiltSite,
  drawn,
  loadTiny,
  openBuiltSite,
  openWatched,
  tinyModelPath,
  turnIs,
} from "./site.ts";

const AXE = createRequire(import.meta.url).resolve("axe-core/axe.min.js");

let site: BuiltSite;
let folder: string;

beforeAll(async () => {
  site = await openBuiltSite();
  folder = await mkdtemp(join(tmpdir(), "ziggurat-axe-"));
});

afterAll(async () => {
  await site?.close();
  await rm(folder, { recursive: true });
});

/** What axe finds wrong with the page as it stands, in both themes: rule, theme and the first element. */
async function violations(page: Page): Promise<string[]> {
  const found: string[] = [];
  for (const colorScheme of ["light", "dark"] as const) {
    await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    await drawn(page);
    const { violations: broken, passes } = await page.evaluate(() =>
      (globalThis as unknown as { axe: typeof axe }).axe.run(document),
    );
    expect(passes.length).toBeGreaterThan(10); // it looked
    for (const { id, nodes } of broken) {
      found.push(
        `${id} (${colorScheme}): ${nodes.map(({ html }) => html.slice(0, 120)).join(" | ")}`,
      );
    }
  }
  return found;
}

const withAxe = { prepare: (page: Page) => page.addInitScript({ path: AXE }) };

test("axe finds nothing on the chat page: model on offer, answered, settings", async () => {
  const watched = await openWatched(site, { ...withAxe, replayed: true });
  const { page } = watched;
  await page.getByRole("heading", { name: "No GPU in use: this will be slow" }).waitFor();
  expect(await violations(page)).toEqual([]);
  await loadTiny(page);
  await page.getByLabel("Longest answer").fill("4");
  await ask(page, "Hello");
  await turnIs(page, "done");
  expect(await violations(page)).toEqual([]);
  await page.getByRole("button", { name: "Conversations" }).click();
  await page.getByRole("button", { name: "Rename Hello" }).waitFor();
  expect(await violations(page)).toEqual([]);
  await page.keyboard.press("Escape");
  await page.getByRole("button", { name: "Settings" }).click();
  expect(await violations(page)).toEqual([]);
  await watched.close();
});

test("axe finds nothing on the memory page: empty, with a run, compared, live, leaking, failed", async () => {
  const url = new URL("memory.html", site.url).href;
  const watched = await openWatched(site, {
    ...withAxe,
    url,
    prepare: async (opened) => {
      await withAxe.prepare(opened);
      await beforeWorker(opened, leak);
    },
  });
  const { page } = watched;
  const status = (): Promise<string> => page.locator("#status").innerText();
  await page.getByRole("button", { name: "Open an exported run" }).waitFor();
  expect(await violations(page)).toEqual([]);
  const files = ["run.json", "other.json"].map((name) => join(folder, name));
  for (const file of files) await writeFile(file, traceToJson(sampleTrace()));
  await page.setInputFiles("#run-file", files[0] as string);
  await expect.poll(status).toContain("run.json");
  expect(await violations(page)).toEqual([]);
  await page.setInputFiles("#run-file", files);
  await expect.poll(status).toContain("2 runs are compared");
  expect(await violations(page)).toEqual([]);

  await page.setInputFiles("#model-file", tinyModelPath);
  await expect.poll(status).toContain("is loaded");
  await page.locator("#run-tokens").fill("4000");
  await page.getByRole("button", { name: "Run", exact: true }).click();
  await expect.poll(status).toBe("Running…");
  expect(await violations(page)).toEqual([]);
  await page.getByRole("button", { name: "Stop" }).click();
  await expect.poll(status).toBe("Stopped.");
  await page.locator("#run-tokens").fill("4");
  await page.getByRole("button", { name: "Check for leaks" }).click();
  await page.locator("#leak-report").waitFor();
  await expect.poll(status).toMatch(/^Leak: /);
  expect(await violations(page)).toEqual([]);
  await page.setInputFiles("#model-file", { ...NO_MODEL, buffer: Buffer.from("no model") });
  await page.getByRole("alert").waitFor();
  expect(await violations(page)).toEqual([]);
  await watched.close();
});

const NO_MODEL = { name: "notes.gguf", mimeType: "" };

/** In the worker: a driver that doesn't let go of one kind of buffer. */
function leak(): void {
  const { createBuffer } = GPUDevice.prototype;
  GPUDevice.prototype.createBuffer = function (descriptor) {
    const buffer = createBuffer.call(this, descriptor);
    if (descriptor.label === "staged keys") buffer.destroy = () => undefined;
    return buffer;
  };
}
