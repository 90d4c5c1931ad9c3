import { cp, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll } from "vitest";
import { buildCommand } from "../../src/cli/build-package.ts";
import { type Ended, type Environment, type Running, start } from "./command.ts";

/** The command as the package has it: it starts in a fraction of the time that a checkout's takes. */
const FOLDER = fileURLToPath(new URL(`../../dist/command-${process.pid}`, import.meta.url));
const ELSEWHERE = `${FOLDER}-elsewhere`;

beforeAll(() => buildCommand(FOLDER));
afterAll(async () => {
  for (const folder of [FOLDER, ELSEWHERE]) await rm(folder, { recursive: true, force: true });
});

/** Starts the package's `ziggurat ARGUMENT...`. */
export function startBuilt(argv: readonly string[], environment: Environment = {}): Running {
  return start(argv, environment, join(FOLDER, "ziggurat.js"));
}

/** Runs it to its end from a package of its own: nothing is there but the command, and nothing can be unpacked into it. */
export async function zigguratElsewhere(
  argv: readonly string[],
  environment: Environment = {},
): Promise<Ended> {
  const command = join(ELSEWHERE, "dist/cli");
  await cp(FOLDER, command, { recursive: true });
  await writeFile(join(ELSEWHERE, "node_modules"), "");
  return start(argv, environment, join(command, "ziggurat.js")).ended;
}

/** Runs the package's `ziggurat ARGUMENT...` to its end. */
export function ziggurat(...argv: string[]): Promise<Ended> {
  return startBuilt(argv).ended;
}
