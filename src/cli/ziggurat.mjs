#!/usr/bin/env node
import { fileURLToPath } from "node:url";
import { runTypeScript } from "./run-ts.mjs";

await runTypeScript(fileURLToPath(new URL("launch.ts", import.meta.url)), process.argv.slice(2));
