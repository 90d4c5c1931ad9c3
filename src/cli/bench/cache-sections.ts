import type { CacheBench } from "./cache-bench.ts";
import { type AnswerReport, longAnswer } from "./long-answer.ts";
import { compressionCost, type CompressionReport } from "./compression-cost.ts";
import { compareDecode, type DecodeReport } from "./decode-lengths.ts";

/** What `--only` can name beside `rates`. */
export const CACHE_SECTIONS = ["compression", "decode", "answer"] as const;
export type CacheSection = (typeof CACHE_SECTIONS)[number];

/** The compressed cache's own measurements, those that were asked for. */
export interface CacheReports {
  readonly compression?: CompressionReport;
  readonly decode?: DecodeReport;
  readonly answer?: AnswerReport;
}

/** Run some of the sections, one after another. */
export async function runCacheSections(
  bench: CacheBench,
  sections: ReadonlySet<string>,
): Promise<CacheReports> {
  return {
    ...(sections.has("compression") ? { compression: await compressionCost(bench) } : {}),
    ...(sections.has("decode") ? { decode: await compareDecode(bench) } : {}),
    ...(sections.has("answer") ? { answer: await longAnswer(bench) } : {}),
  };
}
