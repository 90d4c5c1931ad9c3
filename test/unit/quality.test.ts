import { expect, test } from "vitest";
import { bootstrapMean, bootstrapRatio, estimateText } from "../quality/bootstrap.ts";
import { argmaxRows, Reference } from "../quality/compare.ts";
import { table } from "../quality/table.ts";

test("KL, agreement and likelihood are those of the distributions", () => {
  const full = Float32Array.of(0, Math.log(3), 5, 5 + Math.log(3)); // 1/4 and 3/4, twice
  const other = Float32Array.of(1, 1, 0, Math.log(3)); // 1/2 and 1/2; the same as the full one
  const reference = new Reference(full, 2);
  const kl = (0.25 * Math.log(0.25 / 0.5) + 0.75 * Math.log(0.75 / 0.5)) / 2;
  const { agreement, deltaNll, ...rest } = reference.compare(other, [1, 0]);
  expect(rest.kl).toBeCloseTo(kl, 6);
  expect(agreement).toBe(0.5); // of equals the first one counts
  expect(deltaNll).toBeCloseTo(Math.log(0.75 / 0.5) / 2, 6);
  expect(reference.compare(full, [0, 1])).toEqual({ kl: 0, agreement: 1, deltaNll: 0 });
  expect(argmaxRows(other, 2)).toEqual([0, 1]);
});

test("the bootstrap's interval holds the mean, shrinks with agreement, and needs documents", () => {
  const { value, interval } = bootstrapMean([1, 2, 3, 4, 5, 6]);
  expect(value).toBe(3.5);
  const [low, high] = interval as readonly [number, number];
  expect(low).toBeGreaterThan(1.5);
  expect(low).toBeLessThan(2.8);
  expect(high).toBeGreaterThan(4.2);
  expect(high).toBeLessThan(5.5);
  // Documents that differ, but always by the same factor.
  const paired = bootstrapRatio([2, 20, 200, 2000], [1, 10, 100, 1000]);
  expect(estimateText(paired, 2)).toBe("2.00 [2.00, 2.00]");
  expect(estimateText(bootstrapMean([1, 2]), 1)).toBe("1.5");
});

test("a table is as Prettier leaves it", () => {
  expect(table(["a", "long"], [["× 2", "b"]])).toBe(
    "| a   | long |\n| --- | ---- |\n| × 2 | b    |",
  );
});
