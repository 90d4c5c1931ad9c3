import { spawn } from "node:child_process";
import { rm, stat, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { unpackOnce } from "../../../src/cli/unpack.ts";

/** Git-ignored; `npm ci` leaves it alone. */
const FOLDER = fileURLToPath(new URL("../../../bench-results/peers", import.meta.url));

const EXPORTER = fileURLToPath(new URL("export_onnx.py", import.meta.url));

/** The peers, as npm packages: what is compared with, so pinned. */
export const PACKAGES = {
  "node-llama-cpp": "3.22.1",
  "@huggingface/transformers": "4.3.1",
} as const;

/** What makes ONNX files: PyTorch and transformers read the GGUF file, the rest writes ONNX. */
const PYTHON_PACKAGES = [
  "torch==2.13.0",
  "transformers==5.2.0",
  "accelerate==1.15.0",
  "gguf==0.19.0",
  "onnxruntime-genai==0.18.0",
  "onnxruntime==1.32.0",
  "onnx==1.23.2",
  "onnx_ir==1.1.0",
  "onnxscript==0.7.2",
  "ml_dtypes==0.6.0",
  "protobuf==7.36.2",
];

/**
 * Installs the npm packages of the peers once, with the machine's own npm, and gives their folder.
 * @throws Error with the reason in one line.
 */
export async function installPackages(log: (line: string) => void): Promise<string> {
  const requirements = Object.entries(PACKAGES).map(([name, version]) => `${name}@${version}`);
  const name = requirements.join("+").replaceAll(/[^\w.+-]/g, "-");
  return makeOnce(name, async (folder) => {
    log(`installing ${requirements.join(" and ")} (once, 1.2 GB)`);
    await writeFile(join(folder, "package.json"), '{"private":true}');
    // Their scripts build from source or download more; the packages hold all that is used here.
    const options = ["--ignore-scripts", "--no-audit", "--no-fund", "--prefix", folder];
    await run("npm", "install", ...options, ...requirements);
  });
}

/**
 * Exports a GGUF file to ONNX once, with Python packages that are installed for it and removed again, and gives the
 * model's folder.
 * @throws Error with the reason in one line.
 */
export async function exportOnnx(model: string, log: (line: string) => void): Promise<string> {
  const { size } = await stat(model);
  return makeOnce(`onnx-${basename(model)}-${size}`, async (folder) => {
    const python = join(folder, "python");
    log("installing PyTorch and an ONNX exporter (once, removed after the export)");
    await run("python3", "-m", "venv", python);
    const interpreter = join(python, "bin/python");
    await run(interpreter, "-m", "pip", "install", "--quiet", ...PYTHON_PACKAGES);
    log("exporting the model to ONNX");
    await run(interpreter, EXPORTER, model, folder);
    await rm(python, { recursive: true });
  });
}

const made = new Map<string, Promise<string>>();

/** Several peers ask for the same folder; what failed for one isn't tried again for the next. */
function makeOnce(name: string, fill: (folder: string) => Promise<void>): Promise<string> {
  const promise = made.get(name) ?? unpackOnce(name, fill, FOLDER);
  made.set(name, promise);
  return promise;
}

/** Runs a command, its output on stderr, for stdout holds the table. */
function run(command: string, ...argv: string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, argv, {
      stdio: ["ignore", 2, 2],
      shell: process.platform === "win32" && command === "npm",
    });
    const what = [basename(command), ...argv.slice(0, 3)].join(" ");
    child.once("error", ({ message }) => reject(new Error(`${what}: ${message}`)));
    child.once("exit", (code, signal) => {
      if (code === 0) resolve();
      else reject(new Error(`${what} ended with ${signal ?? `exit code ${code}`}`));
    });
  });
}
