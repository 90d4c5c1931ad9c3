import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { exportOnnx, installPackages, PACKAGES } from "./install.ts";
import { type OnnxDtype, type PeerRequest, type PeerRun, readMessage } from "./protocol.ts";

/** What came of one peer: runs, or the reason why there are none or fewer than asked. */
export interface PeerResult {
  readonly name: string;
  /** On what it ran, as it says itself. */
  readonly device?: string;
  readonly runs: readonly PeerRun[];
  /** One line. */
  readonly problem?: string;
}

/** What all peers are asked, and where they run. */
export interface PeerWork extends Pick<PeerRequest, "prompts" | "newTokens" | "runs"> {
  /** Path of the GGUF file. */
  readonly model: string;
  /** Variables that select our adapter. */
  readonly environment: Readonly<Record<string, string>>;
  /** A peer that takes longer is stopped; the runs that it finished count. */
  readonly limitSeconds: number;
  readonly log: (line: string) => void;
}

interface Peer {
  readonly name: string;
  readonly script: string;
  readonly dtype: OnnxDtype;
  model(gguf: string, log: (line: string) => void): Promise<string>;
}

const LLAMA = "node-llama-cpp";
const TRANSFORMERS = "@huggingface/transformers";
const transformersName = `transformers.js ${PACKAGES[TRANSFORMERS]}`;

const scriptPath = (name: string): string => fileURLToPath(new URL(name, import.meta.url));

const PEERS: readonly Peer[] = [
  {
    name: `${LLAMA} ${PACKAGES[LLAMA]}`,
    script: scriptPath("node-llama-cpp.ts"),
    dtype: "fp32",
    model: async (gguf) => gguf,
  },
  {
    name: `${transformersName} fp32`,
    script: scriptPath("transformers-js.ts"),
    dtype: "fp32",
    model: exportOnnx,
  },
  {
    name: `${transformersName} q4`,
    script: scriptPath("transformers-js.ts"),
    dtype: "q4",
    model: exportOnnx,
  },
];

/** Runs every peer, one after another, each in a process of its own; what fails is said in its result. */
export async function runPeers(work: PeerWork): Promise<PeerResult[]> {
  const { model, prompts, newTokens, runs, log } = work;
  const results: PeerResult[] = [];
  for (const { name, script, dtype, ...peer } of PEERS) {
    try {
      const folder = await installPackages(log);
      const request = {
        folder,
        model: await peer.model(model, log),
        dtype,
        prompts,
        newTokens,
        runs,
      };
      log(`${name}: ${prompts.length} prompts, ${runs} runs each`);
      results.push({ name, ...(await runPeer(script, request, work)) });
    } catch (error) {
      const problem = error instanceof Error ? error.message : String(error);
      results.push({ name, runs: [], problem });
    }
    const { problem } = results.at(-1) as PeerResult;
    if (problem !== undefined) log(`${name}: ${problem}`);
  }
  return results;
}

const RUN_TS = scriptPath("../../../src/cli/run-ts.mjs");

/** Runs one script with a request, and collects what it tells. */
export function runPeer(
  script: string,
  request: PeerRequest,
  { environment, limitSeconds }: Pick<PeerWork, "environment" | "limitSeconds">,
): Promise<Omit<PeerResult, "name">> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [RUN_TS, script, JSON.stringify(request)], {
      env: { ...process.env, ...environment },
      stdio: ["ignore", "pipe", "pipe"],
    });
    const runs: PeerRun[] = [];
    let device: string | undefined;
    createInterface({ input: child.stdout }).on("line", (line) => {
      const message = readMessage(line);
      if (message === undefined) return;
      if ("device" in message) ({ device } = message);
      else runs.push(message);
    });
    let said = "";
    child.stderr.on("data", (bytes: Buffer) => (said = (said + bytes.toString()).slice(-20_000)));
    let isLate = false;
    const clock = setTimeout(() => {
      isLate = true;
      child.kill("SIGKILL");
    }, limitSeconds * 1000);
    child.once("error", reject);
    child.once("close", (code, signal) => {
      clearTimeout(clock);
      const problem = isLate
        ? `stopped after ${limitSeconds} s`
        : code === 0
          ? undefined
          : (reasonIn(said) ?? `ended with ${signal ?? `exit code ${code}`}`);
      resolve({ runs, ...(device && { device }), ...(problem && { problem }) });
    });
  });
}

/** The line of an error message that says most. */
export function reasonIn(stderr: string): string | undefined {
  const lines = stderr.split("\n").map((line) => line.trim());
  const line = lines.find((text) => /^\w*Error\b/.test(text)) ?? lines.findLast(Boolean);
  return line?.slice(0, 200);
}
