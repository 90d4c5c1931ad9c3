import { readFile } from "node:fs/promises";
import { type ChatMessage, type GenerateOptions, SourceError } from "../index.ts";
import { resolveSampling } from "../sampling/options.ts";
import { type Args, type OptionSpecs, readArgs, UsageError } from "./args.ts";
import { cacheLine } from "./cache-line.ts";
import { CACHE_OPTIONS } from "./cache-options.ts";
import { reportWithKept, withEngine } from "./engine.ts";
import { MODEL_OPTIONS } from "./model.ts";

/** Options of `ziggurat generate`. */
export const GENERATE_OPTIONS: OptionSpecs = {
  ...MODEL_OPTIONS,
  ...CACHE_OPTIONS,
  prompt: { type: "string" },
  "prompt-file": { type: "string" },
  raw: { type: "boolean" },
  "max-tokens": { type: "string" },
  stop: { type: "string", multiple: true },
  temperature: { type: "string" },
  "top-k": { type: "string" },
  "top-p": { type: "string" },
  "min-p": { type: "string" },
  "repetition-penalty": { type: "string" },
  "frequency-penalty": { type: "string" },
  "presence-penalty": { type: "string" },
  logprobs: { type: "string" },
  seed: { type: "string" },
};

/** `ziggurat generate`: stream an answer, or print everything about it as JSON. */
export async function generate(argv: readonly string[]): Promise<void> {
  const args = readArgs(argv, GENERATE_OPTIONS);
  const text = await promptText(args);
  const prompt: string | ChatMessage[] = args.flag("raw")
    ? text
    : [{ role: "user", content: text }];
  const options = generateOptions(args);
  await withEngine(args, async (engine, signal) => {
    const generation = engine.generate(prompt, { ...options, signal });
    if (!args.flag("json")) {
      for await (const piece of generation) process.stdout.write(piece.text);
      process.stdout.write("\n");
      const { cache } = await generation.result;
      if (cache.policy !== "full") process.stderr.write(`${cacheLine(cache)}\n`);
      return;
    }
    const result = await generation.result;
    const cache = await reportWithKept(args, engine, result.cache, result.cache.tokens);
    const { adapter } = engine;
    process.stdout.write(`${JSON.stringify({ ...result, cache, adapter })}\n`);
  });
}

async function promptText(args: Args): Promise<string> {
  const [text, file] = [args.text("prompt"), args.text("prompt-file")];
  if ((text === undefined) === (file === undefined)) {
    throw new UsageError("give --prompt or --prompt-file, one of them");
  }
  return text ?? readText(file as string);
}

/** A text file as a string. @throws SourceError */
export async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (cause) {
    const { message } = cause as Error;
    throw new SourceError(path, `cannot be read (${message}); check the path`, { cause });
  }
}

/** @throws UsageError, InvalidOptionError: before a model is loaded, which may take long. */
function generateOptions(args: Args): GenerateOptions {
  const stop = args.all("stop");
  if (stop.includes("")) throw new UsageError("--stop wants a text that is not empty");
  const numbers = {
    maxTokens: args.count("max-tokens"),
    temperature: args.number("temperature"),
    topK: args.number("top-k"),
    topP: args.number("top-p"),
    minP: args.number("min-p"),
    repetitionPenalty: args.number("repetition-penalty"),
    frequencyPenalty: args.number("frequency-penalty"),
    presencePenalty: args.number("presence-penalty"),
    logprobs: args.number("logprobs"),
    seed: args.number("seed"),
  };
  const given = Object.entries(numbers).filter(([, value]) => value !== undefined);
  const options = Object.fromEntries(given);
  resolveSampling(options);
  return { ...options, stop };
}
