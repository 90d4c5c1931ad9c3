import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";

const RUNNER = fileURLToPath(new URL("../../src/cli/run-ts.mjs", import.meta.url));
const PROGRAM = fileURLToPath(new URL("fixtures/restart-once.ts", import.meta.url));

function start(...argv: string[]): {
  output: () => string;
  signal: (name: NodeJS.Signals) => void;
  code: Promise<number>;
} {
  const child = spawn(process.execPath, [RUNNER, PROGRAM, ...argv]);
  let output = "";
  child.stdout.on("data", (bytes) => (output += bytes));
  child.stderr.on("data", (bytes) => (output += bytes));
  return {
    output: () => output,
    signal: (name) => void child.kill(name),
    code: once(child, "close").then(([code]) => code as number),
  };
}

describe("restart", () => {
  test("keeps arguments and output, and passes the exit code on", async () => {
    const run = start("exit", "two words", "--flag");
    expect(await run.code).toBe(42);
    expect(run.output()).toBe("yes two words --flag\n");
  });

  test.each(["SIGTERM", "SIGINT"] as const)("passes %s on and waits for the end", async (name) => {
    const run = start("wait");
    await expect.poll(run.output, { timeout: 15_000 }).toBe("waiting\n");
    run.signal(name);
    expect(await run.code).toBe(3);
    expect(run.output()).toBe("waiting\nstopped in order\n");
  });

  test("tells which signal ended the new process", async () => {
    expect(await start("crash").code).toBe(128 + 9);
  });
});
