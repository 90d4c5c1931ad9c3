/** The rows that layers may keep. */
const ROWS = { min: 16, max: 32_768 } as const;

/** Most numbers in a list: more than any model has layers. */
const MAX_NUMBERS = 256;

/**
 * Rows of a few layers, from the lowest to the highest, as they are written: `512, 256, 64`.
 * @returns undefined where it is no such list
 */
export function parseLayerRows(text: string): number[] | undefined {
  const words = text.trim().split(/\s*,\s*|\s+/);
  const numbers = words.map((word) => (/^\d+$/.test(word) ? Number(word) : NaN));
  const holds = numbers.every((rows) => rows >= ROWS.min && rows <= ROWS.max);
  return holds && numbers.length <= MAX_NUMBERS ? numbers : undefined;
}

/**
 * Rows of every layer: the numbers stand evenly over the layers, and those between lie on a line from
 * one to the next. As many numbers as layers are taken as they are.
 */
export function spreadRows(numbers: readonly number[], numLayers: number): number[] {
  const last = numbers.length - 1;
  return Array.from({ length: numLayers }, (_, layer) => {
    const at = numLayers === 1 ? 0 : (layer * last) / (numLayers - 1);
    const [low, high] = [numbers[Math.floor(at)] ?? ROWS.min, numbers[Math.ceil(at)] ?? ROWS.min];
    return Math.round(low + (high - low) * (at - Math.floor(at)));
  });
}

/** Half as many rows in each. */
export function halveRows(numbers: readonly number[]): number[] {
  return numbers.map((rows) => Math.max(ROWS.min, Math.round(rows / 2)));
}
