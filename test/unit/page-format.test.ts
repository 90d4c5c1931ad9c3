import { describe, expect, it } from "vitest";
import {
  formatByteRate,
  formatCount,
  formatDuration,
  formatMiB,
  formatTimeLeft,
  formatTokenRate,
  formatTokens,
} from "../../demo/format.ts";

/** The pages' figures hold their unit with a no-break space. */
const spaced = (text: string): string => text.replaceAll("_", "\u00a0");

describe("figures on the pages", () => {
  it.each([
    [formatMiB(98_362_432), "93.8_MiB"],
    [formatMiB(0), "0.0_MiB"],
    [formatMiB(3 * 2 ** 30), "3,072.0_MiB"],
    [formatByteRate(2 ** 20), "1.0_MiB/s"],
    [formatCount(3412), "3,412"],
    [formatTokens(1), "1_token"],
    [formatTokens(1234), "1,234_tokens"],
    [formatTokenRate(20.26), "20.3_tokens/s"],
    [formatDuration(384), "0.38_s"],
    [formatDuration(4_210), "4.2_s"],
    [formatDuration(59_960), "1_min 0_s"],
    [formatDuration(125_000), "2_min 5_s"],
    [formatTimeLeft(10), "1_s left"],
    [formatTimeLeft(4_001), "5_s left"],
    [formatTimeLeft(59_999), "1_min 0_s left"],
  ])("%s", (text, expected) => {
    expect(text).toBe(spaced(expected));
  });
});
