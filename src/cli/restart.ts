import { spawn } from "node:child_process";
import { constants } from "node:os";
import { createInterface } from "node:readline";

const SIGNALS: readonly NodeJS.Signals[] = ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"];

/**
 * Runs this very command once more in a new process with some variables set, on the same input and output, and passes
 * signals on to it.
 *
 * @param noise Lines of stderr that match are left out; without it the new process has this one's stderr itself.
 * @returns The exit code of the new process; 128 + the signal's number if a signal ended it, as shells have it.
 */
export function restart(
  environment: Readonly<Record<string, string>>,
  noise?: RegExp,
): Promise<number> {
  const child = spawn(process.execPath, [...process.execArgv, ...process.argv.slice(1)], {
    env: { ...process.env, ...environment },
    stdio: ["inherit", "inherit", noise === undefined ? "inherit" : "pipe"],
  });
  if (child.stderr !== null) {
    createInterface({ input: child.stderr }).on("line", (line) => {
      if (!noise?.test(line)) process.stderr.write(`${line}\n`);
    });
  }
  // A terminal sends Ctrl-C to both processes, and then it comes twice: `interruptible` takes that for one.
  const passOn = (signal: NodeJS.Signals): void => void child.kill(signal);
  for (const signal of SIGNALS) process.on(signal, passOn);
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code, signal) => {
      for (const name of SIGNALS) process.off(name, passOn);
      resolve(signal === null ? (code ?? 1) : 128 + constants.signals[signal]);
    });
  });
}
