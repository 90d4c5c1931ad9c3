import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  type BudgetInput,
  parseBudget,
  pyramidBudgets,
  uniformBudgets,
} from "../../src/cache/budget.ts";
import { InvalidOptionError } from "../../src/errors.ts";

describe("parseBudget", () => {
  test.each([
    [256, { unit: "tokens", tokens: 256 }],
    ["256", { unit: "tokens", tokens: 256 }],
    ["12%", { unit: "share", share: 0.12 }],
    ["0.5 %", { unit: "share", share: 0.005 }],
    ["24MB", { unit: "bytes", bytes: 24e6 }],
    ["16MiB", { unit: "bytes", bytes: 16 * 2 ** 20 }],
    ["1.5KiB", { unit: "bytes", bytes: 1536 }],
    ["100 B", { unit: "bytes", bytes: 100 }],
  ])("reads %s", (text, budget) => {
    expect(parseBudget(text)).toEqual(budget);
  });

  test.each([0, -1, NaN, Infinity, 1.5, "", "0%", "101%", "-5%", "12 tokens", "MB", "1e3", "12%%"])(
    "refuses %s",
    (text) => {
      expect(() => parseBudget(text)).toThrow(InvalidOptionError);
    },
  );
});

/** A total that the policies are asked for: at least the window and one more row per layer. */
const inputs = fc
  .record({
    numLayers: fc.integer({ min: 1, max: 64 }),
    windowSize: fc.integer({ min: 1, max: 64 }),
    tokens: fc.integer({ min: 1, max: 5000 }),
    extra: fc.double({ min: 0, max: 1, noNaN: true }),
  })
  .map(({ numLayers, windowSize, tokens, extra }) => {
    const least = numLayers * (windowSize + 1);
    const totalRows = least + Math.floor(extra * 1.5 * numLayers * tokens);
    return { numLayers, windowSize, tokens, totalRows };
  });

const BUDGETS: Readonly<Record<string, (input: BudgetInput) => number[]>> = {
  uniform: uniformBudgets,
  pyramid: (input) => pyramidBudgets(input, 20),
  "gentle pyramid": (input) => pyramidBudgets(input, 1.5),
  flat: (input) => pyramidBudgets(input, 1),
};

describe.each(Object.entries(BUDGETS))("%s budgets", (_name, budgets) => {
  test("are exact, non-increasing, and between the window and the prompt", () => {
    fc.assert(
      fc.property(inputs, (input) => {
        const { numLayers, tokens, totalRows, windowSize } = input;
        const rows = budgets(input);
        expect(rows).toHaveLength(numLayers);
        expect(rows.every(Number.isInteger)).toBe(true);
        const sum = rows.reduce((total, value) => total + value, 0);
        expect(sum).toBe(Math.min(totalRows, numLayers * tokens));
        for (let l = 1; l < numLayers; l++) expect(rows[l]).toBeLessThanOrEqual(rows[l - 1]);
        expect(Math.max(...rows)).toBeLessThanOrEqual(tokens);
        expect(Math.min(...rows)).toBeGreaterThanOrEqual(Math.min(windowSize, tokens));
      }),
      { numRuns: 500 },
    );
  });
});

describe("pyramid budgets", () => {
  test("follow the paper: 30 layers, mean 256, window 8, beta 20", () => {
    const rows = pyramidBudgets(
      { numLayers: 30, tokens: 8192, totalRows: 30 * 256, windowSize: 8 },
      20,
    );
    // Equation 2: the top layer keeps (256 - 8) / 20 = 12.4 beyond the window, the bottom 483.6.
    expect(rows[0]).toBe(492);
    expect(rows[29]).toBe(20);
    rows.forEach((value, l) => {
      const exact = 8 + 483.6 - (l * (483.6 - 12.4)) / 29;
      expect(Math.abs(value - exact)).toBeLessThan(1);
    });
  });

  test("keep all of the bottom layer where it would keep more than there is", () => {
    const rows = pyramidBudgets(
      { numLayers: 4, tokens: 100, totalRows: 4 * 80, windowSize: 8 },
      20,
    );
    expect(rows).toEqual([100, 87, 73, 60]);
  });
});
