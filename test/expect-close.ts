const SHOWN = 5;

/** How far apart two numbers may be: `|actual - expected| <= atol + rtol * |expected|`. */
export interface Tolerance {
  readonly atol: number;
  readonly rtol: number;
}

/**
 * Fails unless two arrays have the same length and each pair of numbers is within the tolerance. NaN equals NaN, an
 * infinity only itself. The message shows the first mismatches with index and both values, and how many there are.
 */
export function expectClose(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  { atol, rtol }: Tolerance,
): void {
  if (actual.length !== expected.length) {
    throw new Error(`expected ${expected.length} numbers, got ${actual.length}`);
  }
  const shown: string[] = [];
  let mismatches = 0;
  for (let i = 0; i < expected.length; i++) {
    const a = actual[i];
    const e = expected[i];
    const close =
      Object.is(a, e) ||
      a === e ||
      (Number.isFinite(e) && Math.abs(a - e) <= atol + rtol * Math.abs(e));
    if (close) continue;
    if (++mismatches <= SHOWN) shown.push(`  [${i}] got ${a}, expected ${e}`);
  }
  if (mismatches === 0) return;
  throw new Error(
    `${mismatches} of ${expected.length} numbers differ by more than ${atol} + ${rtol} * |expected|:\n` +
      shown.join("\n"),
  );
}
