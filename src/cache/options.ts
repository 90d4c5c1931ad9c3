import { InvalidOptionError } from "../errors.ts";
import { type Budget, parseBudget } from "./budget.ts";
import type { KvDtype } from "./layout.ts";
import { type CachePolicy, POLICIES, type PolicyName, type PolicyOption } from "./policy.ts";

/** Smoothing of scores over neighbouring rows, so that what lies round a hit stays too. */
export interface ScorePool {
  readonly kind: "avg" | "max";
  /** Rows that are pooled; odd. */
  readonly size: number;
}

/** How the cache is compressed. */
export interface CacheOptions {
  /** Default `full`: nothing is evicted. */
  readonly policy?: PolicyName;
  /**
   * Mean rows per layer and KV head (`256`), a share of the prompt (`"12%"`, the default), or bytes
   * that buy the whole cache (`"24MB"`). A share of a prompt so short that it is less than the window
   * (or the sinks) and one row counts as that: `budget` in the report tells. As many rows as the
   * prompt has evict nothing until the answer has used up the spare rows (64, or a longer window's).
   */
  readonly budget?: number | string;
  /** Rows per KV head of each layer, instead of what the policy computes. */
  readonly layerBudgets?: readonly number[];
  /** Last tokens whose attention ranks the others; they are always kept. 1 to 256, default 8. */
  readonly windowSize?: number;
  /** PyramidKV: the top layer keeps `1 / beta` of the mean beyond the window. Default 20. */
  readonly beta?: number;
  /** Default: average over 5. */
  readonly pool?: ScorePool;
  /** StreamingLLM: first tokens that always stay. Default 4. */
  readonly numSinks?: number;
  /** Ada-KV: share of an equal split that every head keeps for certain. Default 0.2. */
  readonly headFloor?: number;
  /** Default `f16`. */
  readonly kvDtype?: KvDtype;
}

/** Cache options that were checked, with every value present. */
export interface ResolvedCacheOptions {
  readonly policy: CachePolicy;
  readonly budget: Budget;
  readonly layerBudgets: readonly number[] | undefined;
  readonly windowSize: number;
  readonly beta: number;
  readonly pool: ScorePool;
  readonly numSinks: number;
  readonly headFloor: number;
  readonly kvDtype: KvDtype;
}

const MAX_WINDOW = 256;
const MAX_POOL = 63;
const POLICY_OPTIONS: readonly PolicyOption[] = [
  "budget",
  "layerBudgets",
  "windowSize",
  "beta",
  "pool",
  "numSinks",
  "headFloor",
];

/** Every option that there is. */
const OPTIONS: readonly string[] = ["policy", ...POLICY_OPTIONS, "kvDtype"];

/**
 * Check cache options and fill in what is left out.
 * @throws InvalidOptionError naming the option, its value and the rule, also for an option that the
 * policy does not take, or that there is not.
 */
export function resolveCacheOptions(
  options: CacheOptions,
  numLayers: number,
): ResolvedCacheOptions {
  const unknown = Object.keys(options).find((option) => !OPTIONS.includes(option));
  if (unknown !== undefined) {
    const value = show(options[unknown as keyof CacheOptions]);
    throw new InvalidOptionError(unknown, value, `left out: the options are ${OPTIONS.join(", ")}`);
  }
  const { policy: name = "full", kvDtype = "f16" } = options;
  if (!Object.hasOwn(POLICIES, name)) {
    throw new InvalidOptionError("policy", name, `one of ${Object.keys(POLICIES).join(", ")}`);
  }
  const policy: CachePolicy = POLICIES[name];
  for (const option of POLICY_OPTIONS) {
    if (options[option] === undefined || policy.options.includes(option)) continue;
    const takers = Object.values(POLICIES).filter((other) => other.options.includes(option));
    const others = takers.map((other) => other.name).join(", ");
    const rule = `left out with policy ${name} (those that take it: ${others})`;
    throw new InvalidOptionError(option, show(options[option]), rule);
  }
  const { windowSize = 8, pool = { kind: "avg", size: 5 } } = { ...policy.defaults, ...options };
  const { beta = 20, numSinks = 4, headFloor = 0.2, budget = "12%", layerBudgets } = options;
  const check = (option: string, value: unknown, holds: boolean, rule: string): void => {
    if (!holds) throw new InvalidOptionError(option, show(value), rule);
  };
  const isCount = (value: number, from: number, to: number): boolean =>
    Number.isInteger(value) && value >= from && value <= to;
  const least = policy.defaults.windowSize === 0 ? 0 : 1;
  check("kvDtype", kvDtype, kvDtype === "f16" || kvDtype === "f32", '"f16" or "f32"');
  check("windowSize", windowSize, isCount(windowSize, least, MAX_WINDOW), `1 to ${MAX_WINDOW}`);
  check("beta", beta, Number.isFinite(beta) && beta >= 1, "at least 1");
  check("numSinks", numSinks, isCount(numSinks, 0, 1024), "a whole number from 0 to 1024");
  const isShare = Number.isFinite(headFloor) && headFloor >= 0 && headFloor <= 1;
  check("headFloor", headFloor, isShare, "from 0 to 1");
  const poolHolds = pool?.kind === "avg" || pool?.kind === "max";
  check("pool", pool, poolHolds, '{ kind: "avg" | "max", size }');
  const odd = isCount(pool.size, 1, MAX_POOL) && pool.size % 2 === 1;
  check("pool", pool, odd, `of an odd size from 1 to ${MAX_POOL}`);
  const parsed = parseBudget(budget);
  const [always, what] = policy.options.includes("numSinks")
    ? [numSinks, `${numSinks} sinks`]
    : [windowSize, `the window of ${windowSize}`];
  const leastRows = `at least ${always + 1}${always > 0 ? ` (${what}, and one row more)` : ""}`;
  const holds = parsed.unit !== "tokens" || parsed.tokens > always;
  check("budget", budget, holds, leastRows);
  if (layerBudgets !== undefined) {
    check("layerBudgets", layerBudgets, options.budget === undefined, "given without a budget");
    const forEach = Array.isArray(layerBudgets) && layerBudgets.length === numLayers;
    check("layerBudgets", layerBudgets, forEach, `one number for each of ${numLayers} layers`);
    const rows = layerBudgets.every((value) => isCount(value, always + 1, 2 ** 31));
    check("layerBudgets", layerBudgets, rows, `whole numbers, each ${leastRows}`);
  }
  return {
    policy,
    budget: parsed,
    layerBudgets,
    windowSize,
    beta,
    pool,
    numSinks,
    headFloor,
    kvDtype,
  };
}

function show(value: unknown): unknown {
  if (Array.isArray(value)) return `[${value.join(", ")}]`;
  return typeof value === "object" ? JSON.stringify(value) : value;
}
