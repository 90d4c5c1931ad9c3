import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "vite";
import { afterEach, beforeEach, expect, test } from "vitest";

const CONFIG = fileURLToPath(new URL("../../vite.config.ts", import.meta.url));

let folder = "";

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "ziggurat-build-"));
  await mkdir(join(folder, "public/models"), { recursive: true });
  await writeFile(join(folder, "public/icon.svg"), "<svg/>");
  await writeFile(join(folder, "public/models/m.gguf"), "GGUF");
});

afterEach(async () => {
  await rm(folder, { recursive: true });
});

test.each([
  ["production", ["icon.svg", "index.html", "licenses.txt"]],
  ["with-models", ["icon.svg", "index.html", "licenses.txt", "models/m.gguf"]],
])("a site built in mode %s holds %j", async (mode, expected) => {
  const outDir = join(folder, "site");
  await build({
    configFile: CONFIG,
    mode,
    logLevel: "warn",
    publicDir: join(folder, "public"),
    build: { outDir },
  });
  const files = await readdir(outDir, { recursive: true });
  expect(files).toEqual(expect.arrayContaining(expected));
  expect(files.filter((name) => name.startsWith("models"))).toHaveLength(
    mode === "with-models" ? 2 : 0,
  );
  const licenses = await readFile(join(outDir, "licenses.txt"), "utf8");
  for (const terms of ["MIT License", "Apache License", "streaming-markdown\n", "highlight.js\n"]) {
    expect(licenses).toContain(terms);
  }
  for (const page of ["index.html", "memory.html"]) {
    const html = await readFile(join(outDir, page), "utf8");
    const [, policy = ""] = /Content-Security-Policy"\s+content="([^"]*)"/.exec(html) ?? [];
    expect(policy).toMatch(/^default-src 'none'; /);
    expect(policy).not.toMatch(/unsafe|\*|data:|blob:/);
    // Nothing that such a policy would stop.
    expect(html).not.toMatch(/<script(?![^>]*\ssrc=)|<style|\sstyle=|\son\w+=/);
  }
});
