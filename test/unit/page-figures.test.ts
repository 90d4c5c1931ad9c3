import { describe, expect, it } from "vitest";
import { finalFigures, startAnswerClock } from "../../demo/answer-figures.ts";
import { createRateMeter } from "../../demo/rate-meter.ts";
import type { GenerateResult } from "../../src/index.ts";

describe("createRateMeter", () => {
  it("says nothing before it knows two moments", () => {
    const meter = createRateMeter();
    expect(meter.perSecond()).toBeUndefined();
    meter.add(10, 1000);
    meter.add(20, 1000);
    expect(meter.perSecond()).toBeUndefined();
    expect(meter.msLeft(100)).toBeUndefined();
  });

  it("follows the latest few seconds, not the beginning", () => {
    const meter = createRateMeter();
    meter.add(0, 0);
    for (let second = 1; second <= 20; second++) meter.add(10 * second, 1000 * second);
    expect(meter.perSecond()).toBeCloseTo(10);
    for (let second = 21; second <= 30; second++)
      meter.add(200 + 50 * (second - 20), 1000 * second);
    expect(meter.perSecond()).toBeCloseTo(50);
    expect(meter.msLeft(1200)).toBeCloseTo(10_000);
  });

  it("gives no time left while nothing moves, and none once all is there", () => {
    const meter = createRateMeter();
    meter.add(5, 0);
    meter.add(5, 1000);
    expect(meter.msLeft(10)).toBeUndefined();
    meter.add(10, 2000);
    expect(meter.msLeft(10)).toBe(0);
  });
});

describe("startAnswerClock", () => {
  it("keeps prefill and decode apart, and leaves the first piece out of the rate", () => {
    const clock = startAnswerClock(1000);
    expect(clock.prefilled({ doneTokens: 0, totalTokens: 40 }, 1000)).toEqual({
      readTokens: 0,
      totalTokens: 40,
    });
    const reading = clock.prefilled({ doneTokens: 20, totalTokens: 40 }, 2000);
    expect(reading).toMatchObject({ readTokensPerSecond: 20, readMsLeft: 1000 });
    clock.prefilled({ doneTokens: 40, totalTokens: 40 }, 3000);
    const first = clock.piece({ text: "a", tokenIds: [1, 2, 3] }, 3500);
    expect(first).toMatchObject({ firstTokenMs: 2500, wroteTokens: 3, readTokensPerSecond: 20 });
    expect(first.wroteTokensPerSecond).toBeUndefined();
    const second = clock.piece({ text: "b", tokenIds: [4, 5] }, 4000);
    expect(second).toMatchObject({ firstTokenMs: 2500, wroteTokens: 5 });
    expect(second.wroteTokensPerSecond).toBeUndefined(); // two tokens make no rate
    const third = clock.piece({ text: "c", tokenIds: [6, 7, 8, 9, 10, 11] }, 5500);
    expect(third).toMatchObject({ firstTokenMs: 2500, wroteTokens: 11, wroteTokensPerSecond: 4 });
  });
});

describe("finalFigures", () => {
  const timings = {
    prefillTokens: 34,
    prefillMs: 400,
    prefillTokensPerSecond: 85,
    decodeTokens: 8,
    decodeMs: 400,
    decodeTokensPerSecond: 20,
    timeToFirstTokenMs: 412,
  };

  it("are the engine's own", () => {
    expect(
      finalFigures({ timings, tokenIds: Array(9).fill(7) } as unknown as GenerateResult),
    ).toEqual({
      readTokens: 34,
      totalTokens: 34,
      readTokensPerSecond: 85,
      firstTokenMs: 412,
      wroteTokens: 9,
      wroteTokensPerSecond: 20,
    });
  });

  it("have no decode rate where too little was decoded to say", () => {
    const few = { ...timings, decodeTokens: 7, decodeMs: 1, decodeTokensPerSecond: 7000 };
    const figures = finalFigures({ timings: few, tokenIds: [7] } as unknown as GenerateResult);
    expect(figures).not.toHaveProperty("wroteTokensPerSecond");
  });
});
