import type { GenerateResult, Piece, PrefillProgress } from "../src/index.ts";
import { createRateMeter } from "./rate-meter.ts";

/** Figures of one answer; what isn't known yet is absent. */
export interface AnswerFigures {
  readonly readTokens?: number;
  readonly totalTokens?: number;
  readonly readTokensPerSecond?: number;
  readonly readMsLeft?: number;
  readonly firstTokenMs?: number;
  readonly wroteTokens?: number;
  readonly wroteTokensPerSecond?: number;
}

/** Tokens come in groups: over fewer than these a rate says more about the groups than about the speed. */
const RATED_TOKENS = 8;

/** Measures an answer while it is made; at its end the engine's own timings replace this. */
export interface AnswerClock {
  prefilled(progress: PrefillProgress, now: number): AnswerFigures;
  piece(piece: Piece, now: number): AnswerFigures;
}

/** A clock that starts at `start`, in ms. */
export function startAnswerClock(start: number): AnswerClock {
  const prefill = createRateMeter();
  let figures: AnswerFigures = {};
  let firstPieceAt = 0;
  let firstPieceTokens = 0;
  let tokens = 0;
  return {
    prefilled({ doneTokens, totalTokens }, now) {
      prefill.add(doneTokens, now);
      figures = {
        readTokens: doneTokens,
        totalTokens,
        ...defined("readTokensPerSecond", prefill.perSecond()),
        ...defined("readMsLeft", prefill.msLeft(totalTokens)),
      };
      return figures;
    },
    piece({ tokenIds }, now) {
      tokens += tokenIds.length;
      if (firstPieceAt === 0) {
        firstPieceAt = now;
        firstPieceTokens = tokens;
        figures = { ...figures, firstTokenMs: now - start };
      }
      const seconds = (now - firstPieceAt) / 1000;
      // The first piece waited for the prompt: its tokens would flatter or spoil the rate.
      const rated = tokens - firstPieceTokens;
      const rate = rated >= RATED_TOKENS && seconds > 0 ? rated / seconds : undefined;
      figures = { ...figures, wroteTokens: tokens, ...defined("wroteTokensPerSecond", rate) };
      return figures;
    },
  };
}

/** The engine's own figures of a finished answer. */
export function finalFigures({ timings, tokenIds }: GenerateResult): AnswerFigures {
  const { prefillTokens, prefillTokensPerSecond, decodeTokens, decodeTokensPerSecond } = timings;
  return {
    readTokens: prefillTokens,
    totalTokens: prefillTokens,
    readTokensPerSecond: prefillTokensPerSecond,
    firstTokenMs: timings.timeToFirstTokenMs,
    wroteTokens: tokenIds.length,
    ...defined(
      "wroteTokensPerSecond",
      decodeTokens >= RATED_TOKENS ? decodeTokensPerSecond : undefined,
    ),
  };
}

function defined<K extends string>(
  key: K,
  value: number | undefined,
): { readonly [P in K]?: number } {
  return value === undefined ? {} : ({ [key]: value } as { readonly [P in K]?: number });
}
