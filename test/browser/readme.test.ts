import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { CACHE_FOLDER } from "../../src/cli/unpack.ts";
import { typescriptSnippets } from "../readme.ts";
import { type BuiltSite, openBuiltSite, openWatched, TINY_MODEL } from "./site.ts";

const TOP = fileURLToPath(new URL("../..", import.meta.url));
const SNIPPETS = typescriptSnippets();

/** Written at the end of a page whose code ran to its end. */
const DONE = "ran to its end";

const CSP = "default-src 'none'; script-src 'self'; worker-src 'self'; connect-src 'self'";

let folder: string;
let site: BuiltSite;

/** Build each snippet as a page of an app that installed the package. */
beforeAll(async () => {
  await mkdir(CACHE_FOLDER, { recursive: true });
  folder = await mkdtemp(join(CACHE_FOLDER, "readme-"));
  await writeFile(join(folder, "llm.worker.ts"), 'import "ziggurat-llm/worker";\n');
  for (const [index, { code }] of SNIPPETS.entries()) {
    const script = `${code}\ndocument.body.dataset["state"] = ${JSON.stringify(DONE)};\n`;
    await writeFile(join(folder, `snippet-${index}.ts`), script);
    const head = `<meta http-equiv="Content-Security-Policy" content="${CSP}">`;
    const html = `<!doctype html><head>${head}<script type="module" src="./snippet-${index}.ts"></script></head><body></body>`;
    await writeFile(join(folder, `${index}.html`), html);
  }
  site = await openBuiltSite({
    root: relative(TOP, folder),
    pages: SNIPPETS.map((_, index) => `${index}.html`),
    alias: [
      { find: /^ziggurat-llm$/, replacement: `${TOP}src/index.ts` },
      { find: /^ziggurat-llm\/(.*)$/, replacement: `${TOP}src/$1.ts` },
    ],
  });
});

afterAll(async () => {
  await site?.close();
  await rm(folder, { recursive: true, force: true });
});

test.each(SNIPPETS.map(({ heading }, index) => ({ heading, index })))(
  "the README's code under “$heading” ($index) runs under a strict policy",
  async ({ index }) => {
    const watched = await openWatched(site, {
      url: `${site.url}${index}.html`,
      prepare: (page) =>
        page.route("**/models/*.gguf", (route) =>
          route.continue({ url: `${site.url}${TINY_MODEL}` }),
        ),
    });
    await watched.page.waitForSelector(`body[data-state="${DONE}"]`, { state: "attached" });
    await watched.close();
    expect(SNIPPETS[index]?.code).toContain("ziggurat-llm");
  },
);
