import { readdirSync, readFileSync } from "node:fs";
import { builtinModules } from "node:module";
import { dirname, join, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { describe, expect, test } from "vitest";

const TOP = fileURLToPath(new URL("../..", import.meta.url));

/** What a file imports, and its text without comments. */
interface SourceFile {
  /** From the top, with slashes: `src/gpu/device.ts`. */
  readonly path: string;
  readonly code: string;
  /** As written: `../errors.ts`, `node:fs`, `webgpu`. */
  readonly imports: readonly string[];
}

function parse(path: string, text: string): SourceFile {
  const code = text.replace(/\/\*[\s\S]*?\*\/|(^|\s)\/\/.*$/gm, "$1");
  const imports = ts.preProcessFile(text).importedFiles.map((file) => file.fileName);
  return { path, code, imports };
}

function filesUnder(folder: string): SourceFile[] {
  return readdirSync(join(TOP, folder), { recursive: true, encoding: "utf8" })
    .filter((name) => /\.(ts|mjs)$/.test(name))
    .map((name) => join(folder, name))
    .map((path) => parse(path.split(sep).join("/"), readFileSync(join(TOP, path), "utf8")));
}

/** The path that a relative import leads to; nothing for a package or a part of Node. */
function target(from: string, specifier: string): string | undefined {
  if (!specifier.startsWith(".")) return undefined;
  return relative(TOP, join(TOP, dirname(from), specifier))
    .split(sep)
    .join("/");
}

/** `src/gpu/device.ts` is in `gpu`, `src/errors.ts` in `errors`, `demo/main.ts` in `demo`. */
function part(path: string): string {
  const [top, name = ""] = path.split("/");
  return top === "src" ? name.replace(/\.ts$/, "") : top;
}

/** A file may import from its own part and from parts in earlier rows. */
const LAYERS: readonly (readonly string[])[] = [
  ["errors"],
  ["on-demand", "pause"],
  ["gpu", "formats", "sampling"],
  ["hub", "text", "cache"],
  ["model"],
  ["profile"],
  ["engine", "elements"],
  ["api"],
  ["index", "worker"],
  ["inline"],
  ["cli", "demo"],
];

/** What users of the package can import. */
const ENTRIES = ["index", "worker", "elements", "profile", "inline"];

/** Parts, or files of a part, that run where there is no GPU. */
const WITHOUT_GPU = /^src\/(formats|text|sampling)\/|^src\/cache\/(budget|scheduler)\.ts$/;

const rank = (name: string): number => LAYERS.findIndex((layer) => layer.includes(name));
const isNode = (specifier: string): boolean =>
  specifier.startsWith("node:") || builtinModules.includes(specifier);

const manifest = JSON.parse(readFileSync(join(TOP, "package.json"), "utf8")) as {
  dependencies: Record<string, string>;
  devDependencies: Record<string, string>;
};
const packages = Object.keys(manifest.dependencies);

/** What only the pages use: built into the site, no part of the package. */
const PAGE_PACKAGES = ["streaming-markdown", "lowlight", "highlight.js"];

/** The package of a file in one: `highlight.js/lib/core` is of `highlight.js`. */
const packageOf = (specifier: string): string => specifier.split("/")[0] ?? "";

/** Every breach of the import rules of the design (section 3) in one file, each as a line. */
function breaches({ path, code, imports }: SourceFile): string[] {
  const own = part(path);
  const found: string[] = [];
  if (rank(own) < 0) found.push(`${path}: "${own}" is in no layer of test/unit/imports.test.ts`);
  for (const specifier of imports) {
    const to = target(path, specifier);
    const line = `${path} imports ${specifier}`;
    if (to === undefined) {
      if (isNode(specifier)) {
        if (own !== "cli") found.push(`${line}: only src/cli may use Node`);
      } else if (own === "demo" && PAGE_PACKAGES.includes(packageOf(specifier))) {
        if (!/^\d/.test(manifest.devDependencies[packageOf(specifier)] ?? "")) {
          found.push(`${line}: not pinned exactly among the dev dependencies`);
        }
      } else if (
        own !== "cli" &&
        !packages.some((name) => specifier === name || specifier.startsWith(`${name}/`))
      ) {
        found.push(`${line}: not among the package's dependencies`);
      }
      continue;
    }
    if (/\.(css|wgsl)(\?.*)?$/.test(to)) continue;
    const other = part(to);
    if (other === own) continue;
    if (rank(other) >= rank(own)) found.push(`${line}: imports go the other way`);
    if (["cli", "demo"].includes(own) && other === "engine") {
      found.push(`${line}: the engine is reached through src/index.ts`);
    }
    if (own === "demo" && !ENTRIES.includes(other))
      found.push(`${line}: the pages use the public API only`);
    if (WITHOUT_GPU.test(path) && other === "gpu") found.push(`${line}: must run without a GPU`);
  }
  if (WITHOUT_GPU.test(path) && /\bGPU[A-Z]\w+/.test(code)) {
    found.push(`${path} names ${/\bGPU[A-Z]\w+/.exec(code)?.[0]}: must run without a GPU`);
  }
  if (path !== "src/gpu/buffers.ts" && /\.createBuffer\b/.test(code)) {
    found.push(
      `${path} calls createBuffer: only src/gpu/buffers.ts does, so that the ledger is whole`,
    );
  }
  if (path !== "src/gpu/kernel.ts" && /\.createBindGroupLayout\b/.test(code)) {
    found.push(`${path} calls createBindGroupLayout: only src/gpu/kernel.ts does, from the WGSL`);
  }
  return found;
}

const files = [...filesUnder("src"), ...filesUnder("demo")];

test("the sources keep the import rules", () => {
  expect(files.map((file) => file.path)).toContain("src/gpu/buffers.ts");
  expect(files.find((file) => file.path === "src/gpu/device.ts")?.imports).toContain(
    "../errors.ts",
  );
  expect(files.flatMap(breaches)).toEqual([]);
});

test("the few files that may call what is reserved to them really do", () => {
  const code = (path: string): string => files.find((file) => file.path === path)?.code ?? "";
  expect(code("src/gpu/buffers.ts")).toContain(".createBuffer(");
  expect(code("src/gpu/kernel.ts")).toContain(".createBindGroupLayout(");
});

describe("a breach is found:", () => {
  test.each([
    ["src/errors.ts", 'import { a } from "./gpu/device.ts";', "other way"],
    ["src/gpu/device.ts", 'import type { Config } from "../model/config.ts";', "other way"],
    ["src/gpu/device.ts", 'import {\n  a,\n} from "../engine/load.ts";', "other way"],
    ["src/formats/gguf.ts", 'import { open } from "node:fs/promises";', "only src/cli"],
    ["src/formats/gguf.ts", 'const fs = await import("fs");', "only src/cli"],
    ["src/text/tokenizer.ts", 'import { x } from "some-package";', "dependencies"],
    ["src/text/tokenizer.ts", 'export * from "../gpu/buffers.ts";', "without a GPU"],
    ["src/sampling/rng.ts", "export function f(device: GPUDevice): void {}", "without a GPU"],
    ["src/cache/budget.ts", 'import { a } from "../gpu/buffers.ts";', "without a GPU"],
    ["src/cli/main.ts", 'import { load } from "../engine/load.ts";', "through src/index.ts"],
    ["demo/main.ts", 'import { ShaderError } from "../src/errors.ts";', "public API"],
    ["src/model/weights.ts", "device.createBuffer({ size, usage });", "ledger"],
    ["src/model/weights.ts", "device.createBindGroupLayout({ entries });", "from the WGSL"],
    ["src/hub/new.ts", 'import "../engine/load.ts";', "other way"],
    ["src/elsewhere/new.ts", "", "no layer"],
  ])("%s: %s", (path, text, reason) => {
    expect(breaches(parse(path, text)).join("\n")).toContain(reason);
  });

  test("but not in a comment or a string", () => {
    const text =
      '// import { a } from "../engine/load.ts"\n/* GPUDevice .createBuffer( */\nexport const a = 1;';
    expect(breaches(parse("src/formats/gguf.ts", text))).toEqual([]);
  });
});
