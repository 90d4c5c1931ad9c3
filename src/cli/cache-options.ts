import type { CacheOptions, KvDtype, PolicyName, ScorePool } from "../index.ts";
import { type Args, UsageError } from "./args.ts";

/** Options of the commands that fill a cache. */
export const CACHE_OPTIONS = {
  policy: { type: "string" },
  budget: { type: "string" },
  window: { type: "string" },
  beta: { type: "string" },
  pool: { type: "string" },
  sinks: { type: "string" },
  "head-floor": { type: "string" },
  "layer-budgets": { type: "string" },
  "kv-dtype": { type: "string" },
  kept: { type: "boolean" },
} as const;

/** The cache options of a command line, as the engine takes (and checks) them. @throws UsageError */
export function cacheOptions(args: Args): CacheOptions {
  if (args.flag("kept") && !args.flag("json")) throw new UsageError("--kept needs --json");
  const given = {
    policy: args.text("policy") as PolicyName | undefined,
    budget: args.text("budget"),
    windowSize: args.number("window"),
    beta: args.number("beta"),
    pool: pool(args.text("pool")),
    numSinks: args.number("sinks"),
    headFloor: args.number("head-floor"),
    layerBudgets: counts(args.text("layer-budgets")),
    kvDtype: args.text("kv-dtype") as KvDtype | undefined,
  };
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
}

function counts(text: string | undefined): number[] | undefined {
  if (text === undefined) return undefined;
  if (!/^\d+(,\d+)*$/.test(text)) {
    throw new UsageError(`--layer-budgets wants whole numbers such as 300,200,100, got "${text}"`);
  }
  return text.split(",").map(Number);
}

function pool(text: string | undefined): ScorePool | undefined {
  if (text === undefined) return undefined;
  const match = /^(avg|max):(\d+)$/.exec(text);
  if (match === null) throw new UsageError(`--pool wants avg:5 or max:7, got "${text}"`);
  return { kind: match[1] as ScorePool["kind"], size: Number(match[2]) };
}
