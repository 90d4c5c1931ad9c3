import type { CacheOptions } from "../../src/cache/options.ts";

/** A policy with its options, all but the budget. */
export interface PolicyUnderTest {
  readonly label: string;
  readonly options: CacheOptions;
}

const avg13 = { kind: "avg", size: 13 } as const;

/** Every policy, with the options that it has by default. */
export const POLICIES_UNDER_TEST: readonly PolicyUnderTest[] = [
  { label: "pyramidkv", options: { policy: "pyramidkv" } },
  { label: "snapkv", options: { policy: "snapkv" } },
  { label: "ada-kv", options: { policy: "ada-kv" } },
  { label: "tova", options: { policy: "tova" } },
  { label: "streaming-llm", options: { policy: "streaming-llm" } },
  { label: "knorm", options: { policy: "knorm" } },
];

/** Wide pooling, which decides whether numbers survive whose digits are tokens of their own. */
export const WIDE_POOLS: readonly PolicyUnderTest[] = [
  { label: "pyramidkv, avg 13", options: { policy: "pyramidkv", pool: avg13 } },
  { label: "snapkv, avg 13", options: { policy: "snapkv", pool: avg13 } },
];

/** Shares of the full cache, in per cent. */
export const BUDGETS: readonly number[] = [50, 25, 12, 6, 3];
