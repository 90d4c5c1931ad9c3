import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { CACHE_FOLDER } from "../../src/cli/unpack.ts";
import { typescriptSnippets } from "../readme.ts";
import { oneDevice } from "./one-device.ts";
import { type BuiltSite, openOwnPages, openWatched, TINY_MODEL, type WatchedPage } from "./site.ts";

const TOP = fileURLToPath(new URL("../..", import.meta.url));
const SNIPPETS = typescriptSnippets();

const CSP = "default-src 'none'; script-src 'self'; worker-src 'self'; connect-src 'self'";

let folder: string;
let site: BuiltSite;
let watched: WatchedPage;

/** Build the snippets as modules of an app that installed the package, each of which runs when it is asked for. */
beforeAll(async () => {
  await mkdir(CACHE_FOLDER, { recursive: true });
  folder = await mkdtemp(join(CACHE_FOLDER, "readme-"));
  await writeFile(join(folder, "llm.worker.ts"), 'import "ziggurat-llm/worker";\n');
  for (const [index, { code }] of SNIPPETS.entries()) {
    await writeFile(join(folder, `snippet-${index}.ts`), code);
  }
  const imports = SNIPPETS.map((_, index) => `() => import("./snippet-${index}.ts")`);
  await writeFile(join(folder, "main.ts"), `globalThis.snippets = [${imports.join(", ")}];\n`);
  const head = `<meta http-equiv="Content-Security-Policy" content="${CSP}">`;
  const html = `<!doctype html><head>${head}<script type="module" src="./main.ts"></script></head><body></body>`;
  await writeFile(join(folder, "index.html"), html);
  site = await openOwnPages({
    root: relative(TOP, folder),
    pages: ["index.html"],
    alias: [
      { find: /^ziggurat-llm$/, replacement: `${TOP}src/index.ts` },
      { find: /^ziggurat-llm\/(.*)$/, replacement: `${TOP}src/$1.ts` },
    ],
  });
  watched = await openWatched(site, {
    init: oneDevice,
    prepare: (page) =>
      page.route("**/models/*.gguf", (route) =>
        route.continue({ url: `${site.url}${TINY_MODEL}` }),
      ),
  });
});

afterAll(async () => {
  await watched?.close(); // which fails where the policy was broken
  await site?.close();
  await rm(folder, { recursive: true, force: true });
});

test.each(SNIPPETS.map(({ heading }, index) => ({ heading, index })))(
  "the README's code under “$heading” ($index) runs under a strict policy",
  async ({ index }) => {
    const { code } = SNIPPETS[index];
    const written = await watched.page.evaluate(async (at) => {
      document.body.replaceChildren();
      await (globalThis as unknown as { snippets: (() => Promise<unknown>)[] }).snippets[at]();
      return document.body.textContent;
    }, index);
    expect(code).toContain("ziggurat-llm");
    expect(written !== "").toBe(code.includes("document.body.append"));
  },
);
