import { spawn } from "node:child_process";
import { readFile, stat, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { nameAdapter } from "../../src/cli/adapter-name.ts";
import { findAdapters } from "../../src/cli/adapters.ts";
import type { BenchReport } from "../../src/cli/bench/report.ts";
import { fetchModel } from "../../src/cli/fetch-model.ts";
import { SourceError } from "../../src/errors.ts";
import { runPeers } from "./peers/run.ts";
import { formatPeers } from "./peers/table.ts";

const COMMAND = fileURLToPath(new URL("../../src/cli/ziggurat.mjs", import.meta.url));
const RESULTS = fileURLToPath(new URL("../../bench-results/bench.json", import.meta.url));

/** For one peer, all its prompts and runs. */
const PEER_LIMIT_SECONDS = 1200;

/**
 * `npm run bench -- [--no-peers] [options of ziggurat bench]`: our benchmark, then the peers on the same weights, prompt
 * ids and adapter, each in a process of its own. The default model is fetched first where it is the one to measure.
 */
export async function main(argv: readonly string[], fetchDefault = fetchModel): Promise<number> {
  const own = argv.filter((arg) => arg !== "--no-peers");
  const isHelp = own.includes("--help") || own.includes("-h");
  if (!isHelp && !own.some((arg) => /^--(model|shape)(=|$)/.test(arg))) {
    try {
      await fetchDefault({ named: process.env["ZIGGURAT_MODEL"] });
    } catch (error) {
      if (!(error instanceof SourceError)) throw error;
      process.stderr.write(`${error.message}\n`);
      return 1;
    }
  }
  const at = own.findIndex((arg) => arg === "--json" || arg.startsWith("--json="));
  const path = at < 0 ? RESULTS : (own[at]?.split("=", 2)[1] ?? own[at + 1] ?? RESULTS);
  const code = await ziggurat("bench", ...own, ...(at < 0 ? ["--json", path] : []));
  if (code !== 0 || isHelp || own.length < argv.length) return code;

  const report = JSON.parse(await readFile(path, "utf8")) as BenchReport;
  if (report.cases.length === 0) return 0; // --only left out what peers are compared by
  const { source } = report.model;
  const isFile = await stat(source).then(
    (stats) => stats.isFile(),
    () => false, // a URL, a hub id, random weights
  );
  if (!isFile) {
    console.log(`no peers: they need the model in a file, and "${source}" is none`);
    return 0;
  }
  const [first] = report.cases;
  const peers = await runPeers({
    model: source,
    prompts: report.cases.map(({ promptTokenIds }) => promptTokenIds),
    newTokens: first?.tokenIds.length ?? 1,
    runs: first?.prefill.runs.length ?? 1,
    environment: await peerEnvironment(report),
    limitSeconds: PEER_LIMIT_SECONDS,
    log: (line) => void process.stderr.write(`${line}\n`),
  });
  console.log(formatPeers(report, peers));
  await writeFile(path, `${JSON.stringify({ ...report, peers })}\n`);
  return 0;
}

/** Variables with which a peer finds the adapter that we ran on. */
async function peerEnvironment({
  adapter,
}: BenchReport): Promise<Readonly<Record<string, string>>> {
  const name = nameAdapter(adapter);
  const { adapters } = await findAdapters();
  const { environment = {} } = adapters.find((found) => found.name === name) ?? {};
  // ggml passes software devices over unless they are named.
  return adapter.isSoftware ? { ...environment, GGML_VK_VISIBLE_DEVICES: "0" } : environment;
}

function ziggurat(...argv: string[]): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [COMMAND, ...argv], { stdio: "inherit" });
    child.once("error", reject);
    child.once("exit", (code) => resolve(code ?? 1));
  });
}
