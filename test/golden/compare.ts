import { expect } from "vitest";
import type { KvDtype } from "../../src/cache/layout.ts";
import type { GreedyCase, ScoreCase } from "./format.ts";

/** How far log-probabilities may be from the reference, in nats. */
const BOUNDS: Readonly<Record<KvDtype, { mean: number; max: number }>> = {
  f32: { mean: 0.002, max: 0.02 },
  f16: { mean: 0.01, max: Infinity },
};

/** Mean of the absolute differences; the lengths must be equal. */
export function meanDifference(actual: readonly number[], expected: readonly number[]): number {
  expect(actual).toHaveLength(expected.length);
  const sum = expected.reduce((total, value, i) => total + Math.abs(actual[i] - value), 0);
  return sum / expected.length;
}

/** Fails unless the log-probabilities are as close to the reference as the cache's type allows; prints how close. */
export function expectScore(
  actual: readonly number[],
  golden: ScoreCase,
  kvDtype: KvDtype,
  what: string,
): void {
  const mean = meanDifference(actual, golden.logprobs);
  const max = Math.max(...golden.logprobs.map((value, i) => Math.abs(actual[i] - value)));
  console.log(
    `${what}, ${golden.name}, cache ${kvDtype}: mean ${mean.toExponential(1)}, max ${max.toExponential(1)} nats`,
  );
  expect(mean).toBeLessThanOrEqual(BOUNDS[kvDtype].mean);
  expect(max).toBeLessThanOrEqual(BOUNDS[kvDtype].max);
}

/** The tokens that an engine emits: a stop token is not among them. */
export function emittedTokens({ tokenIds, finishReason }: GreedyCase): readonly number[] {
  return finishReason === "stop" ? tokenIds.slice(0, -1) : tokenIds;
}

/**
 * Fails unless the tokens equal the reference's up to the first close call, and the answer ends as there if no call is
 * close; prints how many steps that left.
 */
export function expectGreedy(actual: readonly number[], golden: GreedyCase, what: string): void {
  const expected = emittedTokens(golden);
  const { stepsBeforeCloseCall: sure } = golden;
  const equal = expected.findIndex((id, i) => id !== actual[i]);
  console.log(
    `${what}, ${golden.name}: ${equal < 0 ? expected.length : equal} of ${expected.length} greedy tokens equal, ` +
      `${Math.min(sure, expected.length)} before the first close call`,
  );
  expect(actual.slice(0, sure)).toEqual(expected.slice(0, sure));
  if (sure >= golden.tokenIds.length) expect(actual).toHaveLength(expected.length);
}
