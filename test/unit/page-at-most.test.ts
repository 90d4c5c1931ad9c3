import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { atMostEvery } from "../../demo/at-most.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test("at 200 tokens a second the meter is drawn ten times a second, and the last value is shown", () => {
  let value = 0;
  const shown: number[] = [];
  const times: number[] = [];
  const meter = atMostEvery(100, () => {
    shown.push(value);
    times.push(performance.now());
  });
  for (; value < 400; value++) {
    meter.ask();
    vi.advanceTimersByTime(5);
  }
  vi.advanceTimersByTime(1000);
  // At once, and then at the end of each tenth of these two seconds.
  expect(shown.length).toBe(21);
  expect(shown.at(-1)).toBe(399);
  for (const [index, time] of times.slice(1).entries()) {
    expect(time - times[index]).toBeGreaterThanOrEqual(100);
  }
});

test("what is wanted at once is done at once, and not a second time", () => {
  let count = 0;
  const meter = atMostEvery(100, () => count++);
  meter.ask();
  meter.ask();
  meter.now();
  expect(count).toBe(2);
  vi.advanceTimersByTime(1000);
  expect(count).toBe(2);
});
