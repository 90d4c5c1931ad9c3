import { InvalidOptionError } from "../errors.ts";

/**
 * How much a cache may keep: mean tokens per layer and KV head (window included), a share of the
 * prompt, or bytes for the whole cache.
 */
export type Budget =
  | { readonly unit: "tokens"; readonly tokens: number }
  | { readonly unit: "share"; readonly share: number }
  | { readonly unit: "bytes"; readonly bytes: number };

const BYTE_UNITS: Readonly<Record<string, number>> = {
  B: 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
};

const RULE = 'a number of tokens, a share such as "12%", or bytes such as "24MB" or "16MiB"';

/** Read a budget as callers write it: `256`, `"256"`, `"12%"`, `"24MB"`. @throws InvalidOptionError */
export function parseBudget(value: number | string): Budget {
  const wrong = (rule: string): InvalidOptionError => new InvalidOptionError("budget", value, rule);
  if (typeof value !== "number" && typeof value !== "string") throw wrong(RULE);
  const match = /^\s*(\d+(?:\.\d+)?)\s*(%|[KMG]i?B|B)?\s*$/.exec(String(value));
  if (match === null) throw wrong(RULE);
  const amount = Number(match[1]);
  const unit = match[2];
  if (!(amount > 0) || !Number.isFinite(amount)) throw wrong("above 0");
  if (unit === undefined) {
    if (!Number.isInteger(amount)) throw wrong("a whole number of tokens");
    return { unit: "tokens", tokens: amount };
  }
  if (unit === "%") {
    if (amount > 100) throw wrong("at most 100%");
    return { unit: "share", share: amount / 100 };
  }
  return { unit: "bytes", bytes: Math.floor(amount * (BYTE_UNITS[unit] as number)) };
}

/** What budgets are computed from. Rows are per KV head. */
export interface BudgetInput {
  readonly numLayers: number;
  /** Tokens seen so far, or of the whole prompt in work: no layer keeps more. */
  readonly tokens: number;
  /** Rows of all layers together; at least `numLayers * windowSize`. */
  readonly totalRows: number;
  readonly windowSize: number;
}

/** The same for every layer; what does not divide goes to the lower layers, a row each. */
export function uniformBudgets({ numLayers, tokens, totalRows }: BudgetInput): number[] {
  if (totalRows >= numLayers * tokens) return Array(numLayers).fill(tokens);
  return roundDown(Array(numLayers).fill(totalRows / numLayers), totalRows, tokens);
}

/**
 * PyramidKV (arXiv 2406.02069, equations 2 and 3): rows beyond the window fall linearly from the
 * bottom layer to the top one, which keeps the mean's share `1 / beta`. Where the bottom layer
 * would keep more than there is, it keeps all and the top ones more (as the authors' code does).
 * The total is exact, unlike in that code, whose integer steps overspend by up to 16 %.
 */
export function pyramidBudgets(input: BudgetInput, beta: number): number[] {
  const { numLayers, tokens, totalRows, windowSize } = input;
  if (totalRows >= numLayers * tokens) return Array(numLayers).fill(tokens);
  const mean = totalRows / numLayers - windowSize;
  const most = Math.min(2 * mean - mean / beta, tokens - windowSize);
  const least = 2 * mean - most;
  const step = numLayers > 1 ? (most - least) / (numLayers - 1) : 0;
  const first = numLayers > 1 ? most : mean;
  const exact = Array.from({ length: numLayers }, (_, l) => windowSize + first - l * step);
  return roundDown(exact, totalRows, tokens);
}

/**
 * Whole numbers below non-increasing `exact` values, with what is left of `total` given to the
 * first ones below `cap`, one each: the sum is exact and the order stays. (Rounding the running sum
 * would be as exact, but can put a larger number above a smaller one.)
 */
function roundDown(exact: readonly number[], total: number, cap: number): number[] {
  // A value that should be whole may lie a rounding error below it.
  const rows = exact.map((value) => Math.floor(value + 1e-9));
  let left = total - rows.reduce((sum, value) => sum + value, 0);
  for (let layer = 0; layer < rows.length && left > 0; layer++) {
    if ((rows[layer] as number) >= cap) continue;
    rows[layer] = (rows[layer] as number) + 1;
    left--;
  }
  return rows;
}
