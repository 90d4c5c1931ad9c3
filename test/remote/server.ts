import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const SCRIPT = fileURLToPath(new URL("llama_server.py", import.meta.url));

/** A running llama.cpp server. */
export interface LlamaServer {
  /** What `/v1` is added to. */
  readonly address: string;
  close(): Promise<void>;
}

/**
 * Start llama.cpp's server on a free port.
 * @param python an interpreter that has the package xllamacpp
 */
export async function startLlamaServer(
  python: string,
  model: string,
  apiKey: string,
): Promise<LlamaServer> {
  const child = spawn(python, [SCRIPT, model, apiKey], { stdio: ["pipe", "pipe", "pipe"] });
  let log = "";
  child.stderr.setEncoding("utf8").on("data", (part: string) => (log += part));
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  const failed = ended.then(() => {
    throw new Error(`llama.cpp's server ended before it answered:\n${log.slice(-2000)}`);
  });
  const address = await Promise.race([
    failed,
    new Promise<string>((resolve) => {
      createInterface(child.stdout).on("line", (line) => {
        if (line.startsWith("http://")) resolve(line.trim());
      });
    }),
  ]);
  failed.catch(() => {}); // it may end now
  return {
    address,
    async close() {
      child.kill();
      await ended;
    },
  };
}
