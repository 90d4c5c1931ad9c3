import { type ParseArgsConfig, parseArgs } from "node:util";

/** The command line cannot be understood; the process ends with exit code 2. */
export class UsageError extends Error {}

/** What a command can be told, by the name of the option. */
export type OptionSpecs = NonNullable<ParseArgsConfig["options"]>;

/** Parsed options of one command, read by name and type. */
export interface Args {
  text(name: string): string | undefined;
  required(name: string): string;
  number(name: string): number | undefined;
  /** A whole number of at least 1. */
  count(name: string): number | undefined;
  flag(name: string): boolean;
  all(name: string): readonly string[];
}

/**
 * Parse `argv` against `options`; nothing positional is accepted.
 * @throws UsageError for unknown options, missing values and numbers that are none.
 */
export function readArgs(argv: readonly string[], options: OptionSpecs): Args {
  const values = parse(argv, options);
  const text = (name: string): string | undefined => {
    const value = values[name];
    return typeof value === "string" ? value : undefined;
  };
  return {
    text,
    required(name) {
      const value = text(name);
      if (value === undefined) throw new UsageError(`--${name} is required`);
      return value;
    },
    number(name) {
      const value = text(name);
      if (value === undefined) return undefined;
      if (value.trim() === "" || Number.isNaN(Number(value))) {
        throw new UsageError(`--${name} wants a number, got "${value}"`);
      }
      return Number(value);
    },
    count(name) {
      const value = this.number(name);
      if (value !== undefined && !(Number.isSafeInteger(value) && value >= 1)) {
        throw new UsageError(`--${name} wants a whole number of at least 1, got "${text(name)}"`);
      }
      return value;
    },
    flag: (name) => values[name] === true,
    all(name) {
      const value = values[name];
      return Array.isArray(value) ? value.filter((v) => typeof v === "string") : [];
    },
  };
}

function parse(argv: readonly string[], options: OptionSpecs): Readonly<Record<string, unknown>> {
  const args = joinNegativeNumbers(argv);
  try {
    return parseArgs({ args, options, strict: true, allowPositionals: false }).values;
  } catch (cause) {
    // Node's messages go on with advice of several lines.
    const [sentence] = String(cause instanceof Error ? cause.message : cause).split(/\. |\.?\n/);
    throw new UsageError(sentence, { cause });
  }
}

/** `--temperature -1` as `--temperature=-1`: Node takes every dash for the start of an option. */
function joinNegativeNumbers(argv: readonly string[]): string[] {
  const joined: string[] = [];
  for (const arg of argv) {
    const last = joined.at(-1);
    const isValue = /^-[\d.]/.test(arg) && last !== undefined && /^--[^=]+$/.test(last);
    if (isValue) joined[joined.length - 1] = `${last}=${arg}`;
    else joined.push(arg);
  }
  return joined;
}
