import { spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll } from "vitest";

/** As it is run from a checkout, with no build before it. */
const CHECKOUT = fileURLToPath(new URL("../../src/cli/ziggurat.mjs", import.meta.url));

/** What a run of the command came to. */
export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  /** Without the notes that Dawn itself writes about adapters. */
  readonly stderr: string;
  readonly rawStderr: string;
}

/** A running command. */
export interface Running {
  /** All of stdout so far. */
  stdout(): string;
  signal(name: NodeJS.Signals): void;
  /** Stops reading stdout, as `head` does when it has seen enough. */
  closeStdout(): void;
  readonly ended: Promise<Ended>;
}

/** Lines that Dawn writes to stderr when it opens an adapter with generous limits; nothing can stop it. */
const DAWN_NOTE = /^Warning: max\w+ artificially reduced from .*\n/gm;

/** Variables of the environment; those that are undefined are taken out. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** As if no Vulkan driver were on this machine. */
export const NO_VULKAN: Environment = {
  VK_DRIVER_FILES: "/dev/null",
  VK_ICD_FILENAMES: "/dev/null",
  LD_LIBRARY_PATH: undefined,
};

/** Starts `ziggurat ARGUMENT...` as a user does. */
export function start(
  argv: readonly string[],
  environment: Environment = {},
  command: string = CHECKOUT,
): Running {
  const child = spawn(process.execPath, [command, ...argv], {
    env: { ...process.env, ...environment },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const read = (stream: NodeJS.ReadableStream): (() => string) => {
    const parts: Buffer[] = [];
    stream.on("data", (bytes: Buffer) => parts.push(bytes));
    return () => Buffer.concat(parts).toString();
  };
  const [stdout, stderr] = [read(child.stdout), read(child.stderr)];
  return {
    stdout,
    signal: (name) => void child.kill(name),
    closeStdout: () => void child.stdout.destroy(),
    ended: new Promise((resolve) => {
      child.once("close", (code) =>
        resolve({
          ...{ code, stdout: stdout(), rawStderr: stderr() },
          stderr: stderr().replace(DAWN_NOTE, ""),
        }),
      );
    }),
  };
}

const folders: string[] = [];
// Here and not where they are made: a hook that a test or another hook adds is never called.
afterAll(async () => {
  for (const folder of folders) await rm(folder, { recursive: true, force: true });
});

/** A folder for a test's own files, removed after the file's tests. */
export async function temporaryFolder(): Promise<{
  readonly path: string;
  write(name: string, content: string | Uint8Array): Promise<string>;
}> {
  const path = await mkdtemp(join(tmpdir(), "ziggurat-test-"));
  folders.push(path);
  return {
    path,
    async write(name, content) {
      await writeFile(join(path, name), content);
      return join(path, name);
    },
  };
}
