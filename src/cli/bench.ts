import { mkdir, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { type ByteSource, type KvDtype, SourceError } from "../index.ts";
import { type Args, readArgs, UsageError } from "./args.ts";
import { randomModel } from "./bench/random-model.ts";
import { CACHE_SECTIONS } from "./bench/cache-sections.ts";
import { runBench } from "./bench/run.ts";
import { SHAPES } from "./bench/shapes.ts";
import { formatReport } from "./bench/table.ts";
import { openDawn } from "./dawn.ts";
import { interruptible } from "./interruptible.ts";
import { DEFAULT_MODEL_PATH } from "./fetch-model.ts";
import { openModel } from "./model.ts";

const OPTIONS = {
  model: { type: "string" },
  shape: { type: "string" },
  layers: { type: "string" },
  "prompt-tokens": { type: "string" },
  "new-tokens": { type: "string" },
  runs: { type: "string" },
  "kv-dtype": { type: "string" },
  only: { type: "string" },
  json: { type: "string" },
} as const;

/** `ziggurat bench`: how fast a model runs here, and how near to what the adapter can do. */
export async function bench(argv: readonly string[]): Promise<void> {
  const args = readArgs(argv, OPTIONS);
  const options = {
    promptTokens: wholeNumbers(args, "prompt-tokens", "256,1024"),
    newTokens: wholeNumber(args, "new-tokens", "33"),
    runs: wholeNumber(args, "runs", "3"),
    kvDtype: kvDtype(args),
    sections: sections(args),
    log: (line: string) => void process.stderr.write(`${line}\n`),
  };
  const source = await openBenchModel(args);
  const path = args.text("json");
  // Appends nothing: whether the file can be written has to be known before minutes of measuring.
  if (path !== undefined) await writeReport(path, "", "a");
  const report = await interruptible(async (signal) =>
    runBench(source, { ...options, gpu: await openDawn(), signal }),
  );
  process.stdout.write(formatReport(report));
  if (path !== undefined) await writeReport(path, `${JSON.stringify(report)}\n`, "w");
}

/** Writes the file that `--json` names, or appends to it. @throws SourceError */
async function writeReport(path: string, text: string, flag: "w" | "a"): Promise<void> {
  try {
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, text, { flag });
  } catch (cause) {
    const { message } = cause as Error;
    const advice = "name another file with --json";
    throw new SourceError(path, `cannot be written (${message}); ${advice}`, { cause });
  }
}

/** The sections of `--only`; by default those that take a minute or two on two cores. */
function sections(args: Args): ReadonlySet<string> {
  const known = ["rates", ...CACHE_SECTIONS];
  const names = (args.text("only") ?? "rates,compression").split(",");
  const wrong = names.find((name) => !known.includes(name));
  if (wrong === undefined) return new Set(names);
  throw new UsageError(`--only wants some of ${known.join(", ")}, got "${wrong}"`);
}

function kvDtype(args: Args): KvDtype {
  const dtype = args.text("kv-dtype") ?? "f16";
  if (dtype !== "f16" && dtype !== "f32") throw new UsageError("--kv-dtype wants f16 or f32");
  return dtype;
}

/** A model by name, random weights of a shape, or the default model. */
async function openBenchModel(args: Args): Promise<ByteSource> {
  const [model, name, layers] = [args.text("model"), args.text("shape"), args.text("layers")];
  if (model !== undefined && name !== undefined) {
    throw new UsageError("give --model or --shape, not both");
  }
  if (name === undefined) {
    if (layers !== undefined) throw new UsageError("--layers needs --shape");
    return openModel(model ?? DEFAULT_MODEL_PATH);
  }
  const shape = SHAPES[name];
  if (shape === undefined) {
    throw new UsageError(`--shape wants ${Object.keys(SHAPES).join(", ")}, got "${name}"`);
  }
  if (layers === undefined) return randomModel(name, shape);
  const numLayers = wholeNumber(args, "layers", "");
  return randomModel(`${name}, ${numLayers} layers`, { ...shape, numLayers });
}

function wholeNumbers(args: Args, name: string, fallback: string): number[] {
  const text = args.text(name) ?? fallback;
  const values = text.split(",").map(Number);
  if (values.every((value) => Number.isSafeInteger(value) && value >= 1)) return values;
  throw new UsageError(`--${name} wants whole numbers from 1 on, got "${text}"`);
}

function wholeNumber(args: Args, name: string, fallback: string): number {
  const [value, ...more] = wholeNumbers(args, name, fallback);
  if (value !== undefined && more.length === 0) return value;
  throw new UsageError(`--${name} wants one number, got "${args.text(name)}"`);
}
