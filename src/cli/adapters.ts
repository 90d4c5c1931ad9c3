import { execFile } from "node:child_process";
import { access, constants, mkdir, readdir } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { WebGpuUnavailableError } from "../errors.ts";
import { type AdapterName, nameAdapter } from "./adapter-name.ts";
import { findChromiumPackage, libraryPath, unpackSwiftShader } from "./chromium-package.ts";
import { temporaryFolder } from "./temporary-folder.ts";
import { CACHE_FOLDER } from "./unpack.ts";

/** Variables to set before a process starts, so that Dawn opens a certain adapter in it. */
export type AdapterEnvironment = Readonly<Record<string, string>>;

/** An adapter that was opened once on this machine. */
export interface FoundAdapter {
  readonly name: AdapterName;
  /** What the driver calls itself. */
  readonly description: string;
  readonly environment: AdapterEnvironment;
}

/** What a search for adapters gave. */
export interface AdapterSearch {
  /** At most one of each name, the fastest first. */
  readonly adapters: readonly FoundAdapter[];
  /** One line for each driver that was there and could not be opened. */
  readonly refused: readonly string[];
}

/** What to install where no adapter was found. */
export const ADAPTER_ADVICE: string =
  "no WebGPU adapter: install a Vulkan driver for the GPU, or Mesa's lavapipe 23.2 or later (Debian: " +
  "mesa-vulkan-drivers, on Debian 12 from backports); on x64 Linux SwiftShader comes with `npm ci`";

const BY_SPEED: readonly AdapterName[] = ["gpu", "lavapipe", "swiftshader"];

const PROBE = fileURLToPath(new URL("probe-adapter.mjs", import.meta.url));
const PROBE_LIMIT_MS = 60_000;

/**
 * Finds every adapter of this machine that Dawn really opens: the default one, lavapipe, and the SwiftShader of the npm
 * package `@sparticuz/chromium`. Each is tried in a process of its own.
 */
export async function findAdapters(): Promise<AdapterSearch> {
  const runtime = await runtimeEnvironment();
  const candidates: { what: string; environment: AdapterEnvironment; expected: boolean }[] = [
    { what: "the default adapter", environment: runtime, expected: false },
  ];
  for (const file of await findLavapipeDrivers()) {
    // Older Vulkan loaders know only the second name.
    const environment = { ...runtime, VK_DRIVER_FILES: file, VK_ICD_FILENAMES: file };
    candidates.push({ what: `lavapipe (${file})`, environment, expected: true });
  }
  const swiftShader = await swiftShaderEnvironment();
  if (swiftShader !== undefined) {
    const environment = { ...runtime, ...swiftShader };
    candidates.push({ what: "SwiftShader", environment, expected: true });
  }

  const found = new Map<AdapterName, FoundAdapter>();
  const refused: string[] = [];
  const probes = candidates.map((candidate) => probeAdapter(candidate.environment));
  for (const [i, { what, environment, expected }] of candidates.entries()) {
    const result = await probes[i]!;
    if (typeof result === "string") {
      if (expected) refused.push(`${what}: ${result}`);
    } else {
      // A software adapter that was asked for by name is surer than the same one by default.
      const name = nameAdapter(result);
      found.set(name, { name, description: result.description, environment });
    }
  }
  const adapters = BY_SPEED.flatMap((name) => found.get(name) ?? []);
  return { adapters, refused };
}

/**
 * The variables that make the packaged SwiftShader the process's Vulkan; nothing where the package is not installed or
 * of no use.
 * @throws WebGpuUnavailableError when it cannot be unpacked.
 */
export async function swiftShaderEnvironment(): Promise<AdapterEnvironment | undefined> {
  const chromium = await findChromiumPackage();
  if (chromium === undefined) return undefined;
  try {
    const folder = await unpackSwiftShader(chromium, CACHE_FOLDER).catch(async () =>
      // The package's own folder may be another user's.
      unpackSwiftShader(chromium, await temporaryFolder()),
    );
    return libraryPath(folder);
  } catch (cause) {
    const { message } = cause as Error;
    throw new WebGpuUnavailableError(
      "no-adapter",
      `the packaged SwiftShader could not be unpacked (${message}); set TMPDIR to a folder that may be written`,
      { cause },
    );
  }
}

/** Vulkan drivers want a private runtime folder and complain without one. */
export async function runtimeEnvironment(): Promise<AdapterEnvironment> {
  if (process.platform !== "linux" || process.env["XDG_RUNTIME_DIR"]) return {};
  try {
    return { XDG_RUNTIME_DIR: await runtimeFolder().catch(temporaryFolder) };
  } catch {
    return {}; // a GPU may work all the same
  }
}

/** @throws Error where the package's own folder is another user's. */
async function runtimeFolder(): Promise<string> {
  const folder = join(CACHE_FOLDER, "runtime");
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await access(folder, constants.W_OK);
  return folder;
}

/** The driver descriptions of lavapipe in the folders that the Vulkan loader looks through. */
async function findLavapipeDrivers(): Promise<string[]> {
  if (process.platform !== "linux") return [];
  const { env } = process;
  const data = env["XDG_DATA_HOME"] || join(homedir(), ".local/share");
  const shared = (env["XDG_DATA_DIRS"] || "/usr/local/share:/usr/share").split(":");
  const folders = ["/usr/local/etc", "/etc", data, ...shared, "/run/opengl-driver/share"];
  const drivers: string[] = [];
  for (const folder of new Set(folders)) {
    const path = join(folder, "vulkan/icd.d");
    const files = await readdir(path).catch(() => []); // most of these folders don't exist
    for (const file of files) {
      if (/^lvp_icd.*\.json$/.test(file)) drivers.push(join(path, file));
    }
  }
  return drivers;
}

/** What an adapter says of itself. */
export interface ProbedAdapter {
  readonly architecture: string;
  readonly device: string;
  readonly description: string;
}

/** Opens the adapter that an environment selects, in a process of its own; a string says why that failed. */
export function probeAdapter(environment: AdapterEnvironment): Promise<ProbedAdapter | string> {
  const env = { ...process.env, ...environment };
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      [PROBE],
      { env, timeout: PROBE_LIMIT_MS },
      (error, stdout, stderr) => {
        if (error?.killed) return resolve(`gave no answer in ${PROBE_LIMIT_MS / 1000} s`);
        if (error?.signal) return resolve(`crashed (${error.signal})`);
        if (error) return resolve(/^\w*Error.*/m.exec(stderr)?.[0] ?? error.message);
        const adapter = JSON.parse(stdout) as ProbedAdapter | null;
        return resolve(adapter ?? "Dawn does not accept it (lavapipe must be Mesa 23.2 or later)");
      },
    );
  });
}
