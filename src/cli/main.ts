import { constants } from "node:os";
import { InvalidOptionError, LlmError } from "../index.ts";
import { UsageError } from "./args.ts";
import { bench } from "./bench.ts";
import { generate } from "./generate.ts";
import { inspect } from "./inspect.ts";
import { OutputClosedError } from "./interruptible.ts";
import { score } from "./score.ts";

const COMMANDS: Readonly<Record<string, (argv: readonly string[]) => Promise<void>>> = {
  generate,
  score,
  inspect,
  bench,
};

/** What `ziggurat --help` prints. */
export const HELP: string = `ziggurat: language models on WebGPU, with a compressed KV cache

  ziggurat generate --model M (--prompt S | --prompt-file F) [--raw] [--json]
      [--max-tokens N] [--stop S]... [--temperature T] [--top-k N] [--top-p P]
      [--min-p P] [--repetition-penalty R] [--frequency-penalty F] [--presence-penalty P]
      [--seed N] [--logprobs N] [--weights q4|q8] [cache options]
  ziggurat score --model M --text-file F --context N [--json] [--weights q4|q8] [cache options]
  ziggurat inspect --model M [--json] [--kv-dtype f16|f32] [--weights q4|q8]
  ziggurat bench [--model M | --shape smollm2-135m|llama-1b|llama-8b [--layers N]]
      [--prompt-tokens N,...] [--new-tokens N] [--runs N] [--kv-dtype f16|f32] [--json F]
      [--only rates,compression,decode,answer]

Cache options: --policy full|streaming-llm|snapkv|pyramidkv|tova|knorm|ada-kv
  --budget 256|12%|24MB  --layer-budgets A,B,…  --window 1-256  --beta B  --pool avg:5|max:7
  --sinks N  --head-floor F  --kv-dtype f16|f32  --kept (lists the kept positions)

M is the path of a GGUF file, its URL, or a hub id such as owner/repository/file.gguf; or a folder of
safetensors files with config.json and tokenizer.json: its path, its URL (ending in /), or owner/repository.
--weights quantises weights that are floats while they load. --raw skips the chat template. With --json,
--logprobs tells each token's log-probability and those of the N best (0 to 20). Exit codes: 0 done, 1 failed, 2 wrong usage.
`;

/** The `ziggurat` command. Returns the exit code; errors go to stderr in one sentence. */
export async function main(argv: readonly string[]): Promise<number> {
  const [name = "--help", ...rest] = argv;
  if (["--help", "-h"].includes(name) || rest.includes("--help") || rest.includes("-h")) {
    process.stdout.write(HELP);
    return 0;
  }
  try {
    const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
    if (command === undefined) throw new UsageError(`there is no command "${name}"`);
    await command(rest);
    return 0;
  } catch (error) {
    if (error instanceof OutputClosedError) return 128 + constants.signals.SIGPIPE;
    if (error instanceof UsageError || error instanceof InvalidOptionError) {
      process.stderr.write(`ziggurat: ${usageMessage(error)}; see ziggurat --help\n`);
      return 2;
    }
    const known = error instanceof LlmError || (error as Error)?.name === "AbortError";
    process.stderr.write(`ziggurat: ${known ? (error as Error).message : stackOf(error)}\n`);
    return 1;
  }
}

/** Options whose name on the command line is not simply the engine's own. */
const FLAGS: Readonly<Record<string, string>> = {
  contextTokens: "context",
  windowSize: "window",
  numSinks: "sinks",
  text: "text-file",
};

/** The message, with an option called as the command line calls it: `topK` is `--top-k`. */
function usageMessage(error: Error): string {
  if (!(error instanceof InvalidOptionError)) return error.message;
  const { option, message } = error;
  const flag = FLAGS[option] ?? option.replace(/[A-Z]/g, (c) => `-${c.toLowerCase()}`);
  return message.replace(option, `--${flag}`);
}

/** Anything but our own errors is a bug: show where it came from. */
function stackOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
