import type { AnswerFigures } from "../answer-figures.ts";
import { MOST_SESSION_BYTES } from "./session-store.ts";

/** What a saved cache spares at least, in ms: opening one takes some tenths of a second too. */
const LEAST_READING_MS = 1000;

/** A reading of fewer tokens says more about how it begins than about how fast it goes on. */
const RATED_TOKENS = 64;

/** Where no reading tells, a cache of so many tokens is taken for one that takes long. */
const UNRATED_TOKENS = 512;

/**
 * Whether a cache is worth its bytes: reading it again takes longer than opening it.
 * @param readings figures of the conversation's answers, by which it is told how long that takes
 */
export function isWorthSaving(
  { tokens, bytes }: { readonly tokens: number; readonly bytes: number },
  readings: readonly Pick<AnswerFigures, "readTokens" | "readTokensPerSecond">[],
): boolean {
  if (bytes > MOST_SESSION_BYTES) return false;
  let [longest, rate] = [RATED_TOKENS - 1, 0];
  for (const { readTokens = 0, readTokensPerSecond = 0 } of readings) {
    if (readTokens > longest) [longest, rate] = [readTokens, readTokensPerSecond];
  }
  return rate > 0 ? (1000 * tokens) / rate > LEAST_READING_MS : tokens >= UNRATED_TOKENS;
}
