import { cp, rm } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll } from "vitest";
import { buildCommand } from "../../src/cli/build-package.ts";
import { type Ended, type Running, start } from "./command.ts";

/** The command as the package has it: it starts in a fraction of the time that a checkout's takes. */
const FOLDER = fileURLToPath(new URL(`../../dist/command-${process.pid}`, import.meta.url));
const ELSEWHERE = `${FOLDER}-elsewhere`;

beforeAll(() => buildCommand(FOLDER));
afterAll(async () => {
  for (const folder of [FOLDER, ELSEWHERE]) await rm(folder, { recursive: true, force: true });
});

/** Starts the package's `ziggurat ARGUMENT...`. */
export function startBuilt(argv: readonly string[]): Running {
  return start(argv, {}, join(FOLDER, "ziggurat.js"));
}

/** Runs it to its end from a package of its own, in which there is nothing but the command. */
export async function zigguratElsewhere(...argv: string[]): Promise<Ended> {
  const command = join(ELSEWHERE, "dist/cli");
  await cp(FOLDER, command, { recursive: true });
  return start(argv, {}, join(command, "ziggurat.js")).ended;
}

/** Runs the package's `ziggurat ARGUMENT...` to its end. */
export function ziggurat(...argv: string[]): Promise<Ended> {
  return startBuilt(argv).ended;
}
