/** Figures as the pages write them: binary units, one decimal, a no-break space before the unit. */
import { formatCount, formatMiB, formatShare } from "../src/elements.ts";

export { formatCount, formatMiB, formatShare };

const WHOLE = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const TENTHS = new Intl.NumberFormat("en-US", {
  minimumFractionDigits: 1,
  maximumFractionDigits: 1,
});

const NBSP = "\u00a0";

/** What stands where a figure isn't known yet. */
export const UNKNOWN = "–";

/** Bytes as MiB without the unit, for columns whose heading says it. */
export function formatMiBNumber(bytes: number): string {
  return TENTHS.format(bytes / 2 ** 20);
}

/** `20.3 tokens/s` */
export function formatTokenRate(tokensPerSecond: number): string {
  return `${TENTHS.format(tokensPerSecond)}${NBSP}tokens/s`;
}

/** `8.1 MiB/s` */
export function formatByteRate(bytesPerSecond: number): string {
  return `${formatMiB(bytesPerSecond)}/s`;
}

/** `1 token`, `2 tokens` */
export function formatTokens(count: number): string {
  return `${formatCount(count)}${NBSP}${count === 1 ? "token" : "tokens"}`;
}

/** A measured time: `0.38 s`, `4.2 s`, `2 min 5 s`. */
export function formatDuration(ms: number): string {
  const seconds = ms / 1000;
  if (seconds < 1) return `${seconds.toFixed(2)}${NBSP}s`;
  if (seconds < 59.95) return `${TENTHS.format(seconds)}${NBSP}s`;
  return minutes(Math.round(seconds));
}

const DAY_AND_TIME = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "short" });

/** Whether milliseconds since 1970 are a time that a date can hold. */
export function isTime(ms: number): boolean {
  return Number.isFinite(new Date(ms).getTime());
}

/** `25 Nov 2026, 18:47`; what is no time, as older files had it, is an unknown one. */
export function formatTime(ms: number): string {
  return isTime(ms) ? DAY_AND_TIME.format(ms) : "at an unknown time";
}

/** An estimate, no finer than whole seconds: `5 s left`. */
export function formatTimeLeft(ms: number): string {
  const seconds = Math.max(1, Math.ceil(ms / 1000));
  return `${seconds < 60 ? `${seconds}${NBSP}s` : minutes(seconds)} left`;
}

function minutes(seconds: number): string {
  return `${WHOLE.format(Math.floor(seconds / 60))}${NBSP}min ${seconds % 60}${NBSP}s`;
}
