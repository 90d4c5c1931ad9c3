import { cp, readFile } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Plugin } from "vite";
import { defineConfig, type ViteUserConfigExport } from "vitest/config";

const top = fileURLToPath(new URL(".", import.meta.url));

/** Whole models keep a software adapter's cores busy while they compute, but not while kernels compile and pages load. */
const two = { maxWorkers: 2 };

/** Kernel tests mostly compile, on one core each; more than a few at once would crowd a GPU's memory. */
const aFew = { maxWorkers: Math.min(4, availableParallelism()) };

/** Pages are waited for as long as a busy machine may take. */
const patient = { poll: { timeout: 120_000 } };

/** A ring of tests; `npm test` runs them one after another, and so does Vitest when it is called for several. */
function ring(
  groupOrder: number,
  name: string,
  include: string[],
  timeoutSeconds: number,
  more: object,
): object {
  const timeout = timeoutSeconds * 1000;
  return {
    extends: true,
    test: {
      name,
      include,
      environment: "node",
      sequence: { groupOrder },
      testTimeout: timeout,
      hookTimeout: timeout,
      ...more,
    },
  };
}

/** `npm run build -- --mode with-models` puts the fetched models into the site: 98 MB and more. */
const WITH_MODELS = "with-models";

/** Copies the public files into the site; models only where they are asked for. */
function publicFiles(withModels: boolean): Plugin {
  let [from, to] = ["", ""];
  return {
    name: "ziggurat:public-files",
    apply: "build",
    configResolved({ publicDir, build }) {
      [from, to] = [publicDir, build.outDir];
    },
    async closeBundle() {
      const models = join(from, "models");
      await cp(from, to, { recursive: true, filter: (path) => withModels || path !== models });
    },
  };
}

/** What the site's files contain of other projects, with the file in which each keeps its terms. */
const BUNDLED = {
  "streaming-markdown": "license",
  lowlight: "license",
  "highlight.js": "LICENSE",
  "@huggingface/jinja": "LICENSE",
  "@huggingface/tokenizers": "LICENSE",
};

/** Puts the licences that have to go with the site's code beside it, as `licenses.txt`. */
function licenses(): Plugin {
  return {
    name: "ziggurat:licenses",
    apply: "build",
    async generateBundle() {
      const files = Object.entries(BUNDLED).map(async ([name, file]) => {
        const terms = await readFile(join(top, "node_modules", name, file), "utf8");
        return `${name}\n\n${terms.trim()}\n`;
      });
      const own = `Ziggurat\n\n${await readFile(join(top, "LICENSE"), "utf8")}`;
      const source = [own, ...(await Promise.all(files))].join(`\n${"-".repeat(80)}\n\n`);
      this.emitFile({ type: "asset", fileName: "licenses.txt", source });
    },
  };
}

/** Serves the tests (from the top), the dev server and the site's build (both from demo/). */
const config: ViteUserConfigExport = defineConfig(({ mode }) => ({
  root: mode === "test" ? top : `${top}demo`,
  publicDir: `${top}public`,
  cacheDir: `${top}node_modules/.cache/vite`,
  base: "./",
  server: { fs: { allow: [top] } },
  plugins: [publicFiles(mode === WITH_MODELS), licenses()],
  worker: { format: "es" },
  build: {
    target: "es2023",
    outDir: `${top}dist/site`,
    emptyOutDir: true,
    copyPublicDir: false, // by the plugin above
    rolldownOptions: { input: [`${top}demo/index.html`, `${top}demo/memory.html`] },
  },
  test: {
    pool: "forks",
    projects: [
      ring(0, "unit", ["test/unit/**/*.test.ts"], 30, { ...two, isolate: false }),
      ring(1, "kernels", ["test/{gpu,kernels}/**/*.test.ts"], 120, aFew),
      ring(2, "engine", ["test/{engine,policies,cli,quality}/**/*.test.ts"], 300, two),
      ring(3, "golden", ["test/golden/**/*.test.ts"], 900, two),
      ring(4, "package", ["test/package/**/*.test.ts"], 600, { ...two, expect: patient }),
      ring(5, "browser", ["test/browser/**/*.test.ts"], 300, {
        ...{ ...two, expect: patient },
        globalSetup: "test/browser/build-site.ts",
      }),
    ],
  },
}));

export default config;
