import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { DEFAULT_MODEL } from "../../src/cli/fetch/model-file.ts";

const RUNNER = fileURLToPath(new URL("../../src/cli/run-ts.mjs", import.meta.url));
const START = fileURLToPath(new URL("../../src/cli/start.ts", import.meta.url));

test("npm start prints an address that serves the page, its sources and the model", async () => {
  const child = spawn(process.execPath, [RUNNER, START], {
    env: { ...process.env, NO_COLOR: "1" },
  });
  const ended = once(child, "exit");
  try {
    let output = "";
    child.stdout.on("data", (bytes) => (output += bytes));
    child.stderr.on("data", (bytes) => (output += bytes));
    const address = (): string | undefined => /http:\/\/localhost:\d+\//.exec(output)?.[0];
    await expect.poll(address, { timeout: 60_000, message: output }).toBeDefined();
    const base = address() ?? "";

    const page = await fetch(base);
    expect(page.status).toBe(200);
    const script = /<script type="module" src="\.?\/?(?!@vite)([^"]+)"/.exec(
      await page.text(),
    )?.[1];
    const source = await fetch(new URL(script ?? "no-script", base));
    expect(source.headers.get("content-type")).toContain("javascript");

    const range = { headers: { range: "bytes=0-3" } };
    const model = await fetch(new URL(`models/${DEFAULT_MODEL.name}`, base), range);
    expect(model.status).toBe(206);
    expect(model.headers.get("content-range")).toBe(`bytes 0-3/${DEFAULT_MODEL.bytes}`);
    expect(await model.text()).toBe("GGUF");
  } finally {
    child.kill("SIGTERM");
  }
  expect(await ended).toEqual([128 + 15, null]);
});
