import { type PlanarLayout, planarBytes, type Planes } from "./planar.ts";

/**
 * Rows that lie interleaved on the GPU: first every row's block 0, then every row's block 1, and so
 * on (a block is 32 columns, whatever their scales). Threads that take neighbouring rows then read
 * one run of memory instead of eight (shaders/shared/row_groups.wgsl).
 */
export const ROW_GROUP = 8;

const BLOCK_COLUMNS = 32;

/** Bytes of both planes of a matrix with its rows in groups; the last group is filled up. */
export function groupedBytes(
  layout: PlanarLayout,
  rows: number,
  cols: number,
): { readonly quantBytes: number; readonly scaleBytes: number } {
  return planarBytes(layout, Math.ceil(rows / ROW_GROUP) * ROW_GROUP, cols);
}

/**
 * Interleave row-major planes in groups of rows, as the GPU wants them.
 *
 * @param out at least `groupedBytes` of each, as 32-bit words; rows that fill up the last group keep
 *   what is there.
 */
export function groupRows(
  layout: PlanarLayout,
  planes: Planes,
  rows: number,
  cols: number,
  out: Planes,
): void {
  const blocks = cols / BLOCK_COLUMNS;
  const group = planarBytes(layout, ROW_GROUP, cols);
  // In 16-bit units, since a block may have just one f16 scale.
  for (const [from, to, groupBytes] of [
    [planes.quants, out.quants, group.quantBytes],
    [planes.scales, out.scales, group.scaleBytes],
  ] as const) {
    const unit = groupBytes / ROW_GROUP / blocks / 2;
    if (unit % 2 === 0) interleave(from, to, rows, blocks, unit / 2);
    else interleave(halves(from), halves(to), rows, blocks, unit);
  }
}

/** `from[row][block]` to `to[row / 8][block][row % 8]`, `unit` numbers each. */
function interleave<T extends Uint32Array | Uint16Array>(
  from: T,
  to: T,
  rows: number,
  blocks: number,
  unit: number,
): void {
  let at = 0;
  for (let row = 0; row < rows; row++) {
    const first = (row - (row % ROW_GROUP)) * blocks + (row % ROW_GROUP);
    for (let block = 0; block < blocks; block++) {
      const target = (first + block * ROW_GROUP) * unit;
      for (let i = 0; i < unit; i++) to[target + i] = from[at++]!;
    }
  }
}

function halves(words: Uint32Array): Uint16Array {
  return new Uint16Array(words.buffer, words.byteOffset, words.length * 2);
}
