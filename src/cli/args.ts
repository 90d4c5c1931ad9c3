import { type ParseArgsConfig, parseArgs } from "node:util";

/** The command line cannot be understood; the process ends with exit code 2. */
export class UsageError extends Error {}

type OptionSpecs = NonNullable<ParseArgsConfig["options"]>;

/** Parsed options of one command, read by name and type. */
export interface Args {
  text(name: string): string | undefined;
  required(name: string): string;
  number(name: string): number | undefined;
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
    flag: (name) => values[name] === true,
    all(name) {
      const value = values[name];
      return Array.isArray(value) ? value.filter((v) => typeof v === "string") : [];
    },
  };
}

function parse(argv: readonly string[], options: OptionSpecs): Readonly<Record<string, unknown>> {
  try {
    return parseArgs({ args: [...argv], options, strict: true, allowPositionals: false }).values;
  } catch (cause) {
    throw new UsageError(cause instanceof Error ? cause.message : String(cause), { cause });
  }
}
