import type { ByteSource, CacheOptions, Engine, KvDtype } from "../../index.ts";

/** How much is run; a test takes less. */
export interface CacheSizes {
  /** Mean rows per layer and KV head. */
  readonly budget: number;
  /** Prompt whose compression is measured. */
  readonly compressedTokens: number;
  /** Prompts after which decode is compared. */
  readonly shortPrompt: number;
  readonly longPrompt: number;
  /** Tokens of the long answer, and of the parts at its start and end that are compared. */
  readonly answerTokens: number;
  readonly partTokens: number;
}

export const CACHE_SIZES: CacheSizes = {
  budget: 256,
  compressedTokens: 1024,
  shortPrompt: 300,
  longPrompt: 4000,
  answerTokens: 3000,
  partTokens: 500,
};

/** What the sections run with. */
export interface CacheBench {
  readonly gpu: GPU;
  readonly source: ByteSource;
  /** Loaded already; its cache is changed. */
  readonly engine: Engine;
  /** A prompt of so many tokens. */
  readonly prompt: (tokens: number) => readonly number[];
  readonly kvDtype: KvDtype;
  /** Pairs of measurements. */
  readonly runs: number;
  readonly newTokens: number;
  readonly sizes: CacheSizes;
  readonly signal: AbortSignal;
  readonly log: (line: string) => void;
}

/** The cache that is measured: PyramidKV with its default options. */
export function pyramid({ sizes, kvDtype }: CacheBench): CacheOptions {
  return { policy: "pyramidkv", budget: sizes.budget, kvDtype };
}
