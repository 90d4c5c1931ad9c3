import { spawn } from "node:child_process";
import { mkdir, readFile, rm } from "node:fs/promises";
import { constants } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { ADAPTER_ADVICE, type FoundAdapter, findAdapters } from "../src/cli/adapters.ts";
import { fetchModel } from "../src/cli/fetch-model.ts";
import { CACHE_FOLDER } from "../src/cli/unpack.ts";
import { unpackBrowser } from "./browser-package.ts";

const TOP = fileURLToPath(new URL("..", import.meta.url));
const VITEST = join(TOP, "node_modules/vitest/vitest.mjs");
const REPORTS = join(CACHE_FOLDER, "reports");

/** A ring that takes longer hangs. */
const RING_LIMIT_MS = 30 * 60_000;

/** Engine and golden tests in files so named run on SwiftShader too, where the rest runs on a faster adapter. */
const EVERYWHERE = ".everywhere.";

/** What a ring came to: for test rings the number of tests, for others one or none. */
interface Outcome {
  readonly passed: number;
  readonly failed: number;
}

interface Result extends Outcome {
  readonly ring: string;
  readonly minutes: number;
}

const RINGS = [
  "format",
  "lint",
  "check",
  "docs",
  "unit",
  "kernels",
  "engine",
  "golden",
  "package",
  "browser",
] as const;
type Ring = (typeof RINGS)[number];

/**
 * `npm test`: runs the rings one after another, all of them also when one fails, and prints the minutes that each took.
 * `npm test -- unit lint` runs the named ones only.
 */
export async function main(argv: readonly string[]): Promise<number> {
  const wanted = new Set<string>(argv.length > 0 ? argv : RINGS);
  const unknown = [...wanted].filter((name) => !(RINGS as readonly string[]).includes(name));
  if (unknown.length > 0) {
    process.stderr.write(`npm test: no ring ${unknown.join(", ")}; rings: ${RINGS.join(", ")}\n`);
    return 2;
  }
  const results: Result[] = [];
  const began = performance.now();
  const run = async (ring: string, body: () => Promise<Outcome>): Promise<void> => {
    console.log(`\n== ${ring}`);
    const start = performance.now();
    const outcome = await body().catch((error: unknown) => {
      console.error(error instanceof Error ? error.message : error);
      return { passed: 0, failed: 1 };
    });
    results.push({ ring, minutes: (performance.now() - start) / 60_000, ...outcome });
  };
  const has = (ring: Ring): boolean => wanted.has(ring);

  await run("model", async () => {
    await fetchModel();
    return { passed: 0, failed: 0 };
  });
  // Side by side: each of them uses one core for most of its time.
  const scripts = {
    format: ["format:check"],
    lint: ["lint"],
    check: ["check:src", "check:test"],
    docs: ["docs:check"],
  };
  const chosen = (["format", "lint", "check", "docs"] as const).filter(has);
  await Promise.all(chosen.map((ring) => run(ring, () => npmScripts(scripts[ring]))));
  if (has("unit")) await run("unit", () => vitest("unit"));
  if (has("kernels") || has("engine") || has("golden")) {
    let adapters: readonly FoundAdapter[] = [];
    await run("adapters", async () => {
      adapters = await listAdapters();
      const lacks = HAS_SWIFTSHADER && !adapters.some(({ name }) => name === "swiftshader");
      if (lacks)
        console.error(
          "SwiftShader, which comes with `npm ci`, must be there, and could not be opened",
        );
      return { passed: 0, failed: lacks ? 1 : 0 };
    });
    if (has("kernels")) {
      for (const adapter of adapters) {
        await run(`kernels on ${adapter.name}`, () => vitest("kernels", adapter));
      }
    }
    const [fastest, ...others] = adapters;
    const slowest = others.find((adapter) => adapter.name === "swiftshader");
    for (const ring of (["engine", "golden"] as const).filter(has)) {
      if (fastest) await run(`${ring} on ${fastest.name}`, () => vitest(ring, fastest));
      if (slowest) {
        await run(`${ring} on ${slowest.name}`, () => vitest(ring, slowest, EVERYWHERE));
      }
    }
  }
  for (const ring of (["package", "browser"] as const).filter(has)) {
    await run(ring, async () => {
      await unpackBrowser();
      return vitest(ring);
    });
  }
  return report(results, (performance.now() - began) / 60_000);
}

/** Variables of Mesa's lavapipe; others pass them over. Files run side by side, so one core each serves them best. */
const ONE_CORE = { LP_NUM_THREADS: "0" };

/** Kernel tests compile several hundred pipelines and run each for a moment: LLVM's optimisations aren't worth their time. */
const QUICK_TO_COMPILE = { ...ONE_CORE, GALLIVM_PERF: "nopt" };

/** There it comes with a dev dependency, so it must be found, whatever else is. */
const HAS_SWIFTSHADER = process.platform === "linux" && process.arch === "x64";

/** Finds the adapters and says what they are; none is an error. */
async function listAdapters(): Promise<readonly FoundAdapter[]> {
  const { adapters, refused } = await findAdapters();
  for (const { name, description } of adapters) console.log(`${name}: ${description}`);
  for (const line of refused) console.log(`not usable: ${line}`);
  if (adapters.length === 0) throw new Error(ADAPTER_ADVICE);
  return adapters;
}

/** Runs scripts side by side, the output of each in one piece. */
async function npmScripts(names: readonly string[]): Promise<Outcome> {
  const codes = await Promise.all(
    names.map(async (name) => {
      let output = "";
      const code = await spawned("npm", ["run", "--silent", name], {}, (text) => (output += text));
      process.stdout.write(output);
      return code;
    }),
  );
  return { passed: 0, failed: codes.filter((code) => code !== 0).length };
}

/** The part of Vitest's JSON report that is read here. */
interface VitestReport {
  readonly numPassedTests: number;
  readonly numPendingTests: number;
  readonly numTodoTests: number;
  readonly testResults: readonly {
    readonly status: string;
    readonly assertionResults: readonly { readonly status: string }[];
  }[];
}

async function vitest(
  project: string,
  adapter?: FoundAdapter,
  ...filters: string[]
): Promise<Outcome> {
  const path = join(REPORTS, `${project}-${adapter?.name ?? "any"}.json`);
  const mesa = project === "kernels" ? QUICK_TO_COMPILE : ONE_CORE;
  await mkdir(REPORTS, { recursive: true });
  await rm(path, { force: true });
  const reporters = ["--reporter=default", "--reporter=json", `--outputFile.json=${path}`];
  const code = await spawned(
    process.execPath,
    [VITEST, "run", "--project", project, ...filters, ...reporters],
    adapter ? { ...adapter.environment, ...mesa, ZIGGURAT_ADAPTER: adapter.name } : {},
  );
  const text = await readFile(path, "utf8").catch(() => undefined);
  if (text === undefined) throw new Error(`Vitest left no report (exit code ${code})`);
  return countTests(JSON.parse(text) as VitestReport, code);
}

/** A skipped test counts as failed, and so does a file that could not be run at all. */
function countTests(all: VitestReport, exitCode: number): Outcome {
  const skipped = all.numPendingTests + all.numTodoTests;
  if (skipped > 0) console.error(`${skipped} tests were skipped; that counts as failed`);
  let failed = skipped;
  for (const { status, assertionResults } of all.testResults) {
    const tests = assertionResults.filter((test) => test.status === "failed").length;
    failed += status === "failed" ? Math.max(1, tests) : 0;
  }
  return { passed: all.numPassedTests, failed: exitCode === 0 ? failed : Math.max(1, failed) };
}

function spawned(
  command: string,
  argv: readonly string[],
  environment: Readonly<Record<string, string>>,
  onOutput?: (text: string) => void,
): Promise<number> {
  return new Promise((resolve, reject) => {
    const output = onOutput === undefined ? "inherit" : "pipe";
    const child = spawn(command, argv, {
      cwd: TOP,
      env: { ...process.env, ...environment },
      stdio: ["ignore", output, output],
      shell: process.platform === "win32",
    });
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding("utf8").on("data", (text: string) => onOutput?.(text));
    }
    const clock = setTimeout(() => {
      console.error(`killed after ${RING_LIMIT_MS / 60_000} minutes`);
      child.kill("SIGKILL");
    }, RING_LIMIT_MS);
    const stop = (): void => {
      child.kill();
      process.exit(128 + constants.signals.SIGTERM);
    };
    process.once("SIGTERM", stop);
    child.once("error", reject);
    // Not before its output is read to the end.
    child.once("close", (code) => {
      process.off("SIGTERM", stop);
      clearTimeout(clock);
      resolve(code ?? 1);
    });
  });
}

/** Prints a table of the rings and the closing line; gives the exit code. */
function report(results: readonly Result[], minutes: number): number {
  console.log(`\n${"ring".padEnd(24)} minutes  passed  failed`);
  let passed = 0;
  let failed = 0;
  for (const result of results) {
    const { ring } = result;
    console.log(
      `${ring.padEnd(24)} ${result.minutes.toFixed(2).padStart(7)} ` +
        `${String(result.passed).padStart(7)} ${String(result.failed).padStart(7)}`,
    );
    passed += result.passed;
    failed += result.failed;
  }
  console.log(`${"in all".padEnd(24)} ${minutes.toFixed(2).padStart(7)}\n`);
  console.log(`${passed} passed, ${failed} failed`);
  return failed === 0 ? 0 : 1;
}
