import type { CacheReports } from "./cache-sections.ts";
import { columns } from "./columns.ts";
import type { CompressionReport } from "./compression-cost.ts";
import type { DecodeCase, DecodeReport } from "./decode-lengths.ts";
import type { AnswerReport } from "./long-answer.ts";
import { median } from "./measure.ts";
import type { PairedRatio, Took } from "./stopwatch.ts";

/** What the cache's sections say, to be read on a terminal. */
export function cacheLines({ compression, decode, answer }: CacheReports): string[] {
  return [
    ...(compression === undefined ? [] : [...compressionLines(compression), ""]),
    ...(decode === undefined ? [] : [...decodeLines(decode), ""]),
    ...(answer === undefined ? [] : [...answerLines(answer), ""]),
  ];
}

function compressionLines(report: CompressionReport): string[] {
  const { promptTokens, budget, spareRows, share, prefillRatio, againShare } = report;
  const row = (name: string, all: readonly Took[], note: string): string[] => [
    name,
    milliseconds(all.map(({ wallSeconds }) => wallSeconds)),
    milliseconds(all.map(({ workerCpuSeconds }) => workerCpuSeconds ?? NaN)),
    note,
  ];
  return [
    `compression, pyramidkv with a budget of ${budget}: medians of ${report.full.length} interleaved pairs`,
    columns([
      ["", "wall ms", "cpu ms", "wall (cpu)"],
      row(`prefill of ${promptTokens} tokens, full cache`, report.full, ""),
      row("  the same, compressed", report.compressed, `${ratio(prefillRatio)} of it`),
      row("  score, select and compact alone", report.alone, `${percent(share)} of it`),
      row(`${spareRows} decode steps`, report.steps, ""),
      row("  compressing again after them", report.again, `${percent(againShare)} of it`),
    ]),
  ];
}

function decodeLines({
  budget,
  short,
  long,
  full,
  longToShort,
  fullToShort,
}: DecodeReport): string[] {
  const row = (one: DecodeCase, note: string): string[] => [
    one.policy === "full" ? "full cache" : `${one.policy}, budget ${budget}`,
    String(one.promptTokens),
    (1 / median(one.perToken.map(({ wallSeconds }) => wallSeconds))).toFixed(1),
    milliseconds(one.perToken.map(({ workerCpuSeconds }) => workerCpuSeconds ?? NaN)),
    mib(one.kvBytes),
    note,
  ];
  return [
    `decode after prompts of several lengths: medians of ${short.perToken.length} rounds`,
    columns([
      ["cache", "prompt", "tokens/s", "cpu ms/token", "KV cache", "time per token, wall (cpu)"],
      row(short, ""),
      row(long, `${ratio(longToShort)} of the first`),
      row(full, `${ratio(fullToShort)} of the first`),
    ]),
  ];
}

function answerLines(report: AnswerReport): string[] {
  const { tokens, budget, partTokens, first, last, lastToFirst } = report;
  const rate = ({ wallSeconds }: Took): string => (1 / wallSeconds).toFixed(1);
  return [
    `answer of ${tokens} tokens, pyramidkv with a budget of ${budget}`,
    `  first ${partTokens} tokens ${rate(first)} tokens/s, last ${partTokens} ${rate(last)} tokens/s: ` +
      `time per token ${ratio(lastToFirst)} of the start, wall (cpu)`,
    `  KV cache at most ${mib(report.kvBytes)} (planned ${mib(report.plannedBytes)}), ` +
      `at peak ${mib(report.kvPeakBytes)} (planned ${mib(report.plannedPeakBytes)})`,
    `  starts ${JSON.stringify(report.start)}`,
    `  ends ${JSON.stringify(report.end)}`,
  ];
}

const milliseconds = (seconds: readonly number[]): string => {
  const value = median(seconds);
  return Number.isNaN(value) ? "" : (1000 * value).toFixed(1);
};
const both = ({ wall, workerCpu }: PairedRatio, show: (value: number) => string): string =>
  workerCpu === undefined ? show(wall) : `${show(wall)} (${show(workerCpu)})`;
const ratio = (value: PairedRatio): string => both(value, (x) => x.toFixed(3));
const percent = (value: PairedRatio): string => both(value, (x) => `${(100 * x).toFixed(2)} %`);
const mib = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MiB`;
