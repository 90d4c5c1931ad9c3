import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "vite";
import type { TestProject } from "vitest/node";

declare module "vitest" {
  interface ProvidedContext {
    /** Folder of the site as `npm run build` makes it. */
    readonly siteFolder: string;
    /** File of the worker that replays a run without a GPU. */
    readonly replayWorker: string;
  }
}

/** Builds once for all files of the ring; what is built goes when the last one has ended. */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const folder = await mkdtemp(join(tmpdir(), "ziggurat-browser-"));
  const [siteFolder, replayFolder] = [join(folder, "site"), join(folder, "replay")];
  const configFile = fileURLToPath(new URL("../../vite.config.ts", import.meta.url));
  await build({
    configFile,
    logLevel: "warn",
    build: { outDir: siteFolder, copyPublicDir: false },
  });
  const input = fileURLToPath(new URL("replay/worker.ts", import.meta.url));
  const rolldownOptions = { input, output: { entryFileNames: "worker.js" } };
  const common = { target: "es2023", copyPublicDir: false } as const;
  await build({
    configFile: false,
    logLevel: "warn",
    build: { ...common, outDir: replayFolder, emptyOutDir: true, rolldownOptions },
  });
  project.provide("siteFolder", siteFolder);
  project.provide("replayWorker", join(replayFolder, "worker.js"));
  return () => rm(folder, { recursive: true, force: true });
}
