import { rm } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll } from "vitest";
import { buildCommand } from "../../src/cli/build-package.ts";
import { type Ended, type Running, start } from "./command.ts";

/** The command as the package has it: it starts in a fraction of the time that a checkout's takes. */
const FOLDER = fileURLToPath(new URL(`../../dist/command-${process.pid}`, import.meta.url));

beforeAll(() => buildCommand(FOLDER));
afterAll(() => rm(FOLDER, { recursive: true, force: true }));

/** Starts the package's `ziggurat ARGUMENT...`. */
export function startBuilt(argv: readonly string[]): Running {
  return start(argv, {}, join(FOLDER, "ziggurat.js"));
}

/** Runs the package's `ziggurat ARGUMENT...` to its end. */
export function ziggurat(...argv: string[]): Promise<Ended> {
  return startBuilt(argv).ended;
}
