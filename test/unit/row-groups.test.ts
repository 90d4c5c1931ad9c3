import { describe, expect, test } from "vitest";
import { groupedBytes, groupRows } from "../../src/formats/row-groups.ts";
import { seededRandom } from "../random.ts";
import { PLANAR_LAYOUTS, randomPlanar } from "../reference/planar.ts";

/** Bytes of one row's share of 32 columns, of quants and scales. */
const SHARES = {
  q4: [16, 4],
  q8: [32, 2],
  "q8 with min": [32, 4],
  "q8 of 16": [32, 4],
  f16: [64, 0],
} as const satisfies Record<keyof typeof PLANAR_LAYOUTS, readonly [number, number]>;

describe.each(Object.entries(SHARES))("%s", (kind, shares) => {
  const layout = PLANAR_LAYOUTS[kind as keyof typeof PLANAR_LAYOUTS];

  test.for([
    [8, 96],
    [13, 32],
    [24, 64],
  ] as const)("%d rows of %d", ([rows, cols]) => {
    const matrix = randomPlanar(seededRandom(rows), layout, rows, cols);
    const bytes = groupedBytes(layout, rows, cols);
    const out = {
      quants: new Uint32Array(bytes.quantBytes / 4),
      scales: new Uint32Array(bytes.scaleBytes / 4),
    };
    groupRows(layout, matrix, rows, cols, out);

    const blocks = cols / 32;
    for (const [i, plane] of (["quants", "scales"] as const).entries()) {
      const share = shares[i];
      const source = new Uint8Array(matrix[plane].buffer);
      const grouped = new Uint8Array(out[plane].buffer);
      expect(grouped.length).toBe(Math.ceil(rows / 8) * 8 * blocks * share);
      for (let at = 0; at < grouped.length; at += share) {
        const index = at / share;
        const row = Math.floor(index / (8 * blocks)) * 8 + (index % 8);
        const block = Math.floor(index / 8) % blocks;
        const from = (row * blocks + block) * share;
        const expected = row < rows ? source.slice(from, from + share) : new Uint8Array(share);
        expect(grouped.slice(at, at + share)).toEqual(expected);
      }
    }
  });
});
