import { LlmError } from "../errors.ts";
import { probeAdapter, runtimeEnvironment, swiftShaderEnvironment } from "./adapters.ts";
import { restart } from "./restart.ts";

/** Set in the environment of the restarted process, so that it doesn't restart again. */
const RESTARTED = "ZIGGURAT_ADAPTER";

/** What Dawn writes to stderr about any adapter with generous limits, of no interest to anybody here. */
const DAWN_NOISE = /^Warning: max\w+ artificially reduced from /;

/** First arguments with which no GPU is opened. */
const WITHOUT_GPU: ReadonlySet<string | undefined> = new Set([undefined, "inspect", "-h"]);

/**
 * Runs `work` in an environment in which Dawn finds an adapter: as it is, where Dawn finds one; else this whole command
 * once more in a new process with the packaged SwiftShader as its Vulkan, because the library path is read only when a
 * process starts.
 *
 * @returns The exit code.
 * @throws WebGpuUnavailableError when the packaged SwiftShader is needed and cannot be unpacked.
 */
export async function withAdapter(work: () => Promise<number>): Promise<number> {
  if (process.env[RESTARTED] === undefined) {
    Object.assign(process.env, await runtimeEnvironment());
    // In a process of its own, because a failed search writes to stderr and can't be undone.
    if (typeof (await probeAdapter({})) === "string") {
      const environment = await swiftShaderEnvironment();
      // Without SwiftShader the command says itself what is missing.
      if (environment !== undefined) {
        return restart({ ...environment, [RESTARTED]: "swiftshader" }, DAWN_NOISE);
      }
    }
  }
  return work();
}

/** Runs the command line. Returns the exit code. */
export async function main(argv: readonly string[]): Promise<number> {
  const run = async (): Promise<number> => (await import("./main.ts")).main(argv);
  const needsGpu = !WITHOUT_GPU.has(argv[0]) && !argv.includes("--help");
  if (!needsGpu) return run();
  try {
    return await withAdapter(run);
  } catch (error) {
    if (!(error instanceof LlmError)) throw error;
    process.stderr.write(`ziggurat: ${error.message}\n`);
    return 1;
  }
}
