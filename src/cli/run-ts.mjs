#!/usr/bin/env node
// Runs a TypeScript program of this checkout with no build step before it, through Vite's own module loader:
// `node src/cli/run-ts.mjs FILE ARGUMENT...` calls `main(arguments)` of that file and exits with the number it gives.
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { createServer } from "vite";
import { runMain } from "./run-main.mjs";

export async function runTypeScript(file, argv) {
  const server = await createServer({
    configFile: false,
    root: fileURLToPath(new URL("../..", import.meta.url)),
    logLevel: "warn",
    appType: "custom",
    server: { middlewareMode: true, hmr: false, ws: false, watch: null },
    optimizeDeps: { noDiscovery: true, include: [] },
  });
  const { main } = await server.ssrLoadModule(file);
  await runMain(main, argv);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await runTypeScript(resolve(process.argv[2]), process.argv.slice(3));
}
