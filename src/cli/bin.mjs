#!/usr/bin/env node
// The package's `ziggurat`, built by build-package.ts; from a checkout, ziggurat.mjs does the same without a build.
import { main } from "./launch.ts";
import { runMain } from "./run-main.mjs";

await runMain(main, process.argv.slice(2));
