import { fileURLToPath } from "node:url";
import { defineConfig, type ViteUserConfigExport } from "vitest/config";

const top = fileURLToPath(new URL(".", import.meta.url));

/** Tests on a software adapter use every core themselves, so their files run one after another. */
const oneByOne = { fileParallelism: false, maxWorkers: 1 };

/** Pages are waited for as long as a busy machine may take. */
const patient = { poll: { timeout: 120_000 } };

function ring(name: string, include: string[], timeoutSeconds: number, more: object = {}): object {
  const timeout = timeoutSeconds * 1000;
  return {
    extends: true,
    test: {
      name,
      include,
      environment: "node",
      testTimeout: timeout,
      hookTimeout: timeout,
      ...more,
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
  build: { target: "es2023", outDir: `${top}dist/site`, emptyOutDir: true },
  test: {
    pool: "forks",
    projects: [
      ring("unit", ["test/unit/**/*.test.ts"], 30),
      ring("kernels", ["test/{gpu,kernels,policies}/**/*.test.ts"], 120, oneByOne),
      ring("golden", ["test/golden/**/*.test.ts"], 900, oneByOne),
      ring("browser", ["test/browser/**/*.test.ts"], 300, { ...oneByOne, expect: patient }),
    ],
  },
}));

export default config;
