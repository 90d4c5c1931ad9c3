import { floatToHalf, halfToFloat } from "./half.ts";
import type { PlanarLayout, Planes } from "./planar.ts";

/** Planes that own their memory. */
export interface OwnPlanes extends Planes {
  readonly quants: Uint32Array<ArrayBuffer>;
  readonly scales: Uint32Array<ArrayBuffer>;
}

/** Whether the same kernel reads both. */
export function sameLayout(a: PlanarLayout, b: PlanarLayout): boolean {
  return a.kind === b.kind && a.blockSize === b.blockSize && a.hasMin === b.hasMin;
}

/**
 * The layout that can hold rows of both. Quantised rows go into it exactly; where one side is f16,
 * the other's values are rounded to f16.
 */
export function commonLayout(a: PlanarLayout, b: PlanarLayout): PlanarLayout {
  if (sameLayout(a, b)) return a.lossy ? a : b;
  const lossy = a.lossy || b.lossy;
  if (a.kind === "f16" || b.kind === "f16") {
    return { kind: "f16", blockSize: 1, hasMin: false, lossy: true };
  }
  return { kind: "q8", blockSize: Math.min(a.blockSize, b.blockSize), hasMin: true, lossy };
}

/**
 * Planes of `elements` row-major elements in another layout.
 *
 * @param to what `commonLayout` gives for `from` and another.
 */
export function convertPlanes(
  planes: OwnPlanes,
  from: PlanarLayout,
  to: PlanarLayout,
  elements: number,
): OwnPlanes {
  if (sameLayout(from, to)) return planes;
  const bytes = from.kind === "q4" ? nibblesToBytes(planes.quants) : planes.quants;
  if (to.kind === "f16") return { quants: toHalves(bytes, planes, from, elements), scales: empty };
  const scales = new Uint32Array(elements / to.blockSize);
  const blocksPerBlock = from.blockSize / to.blockSize;
  for (let block = 0; block < scales.length; block++) {
    const [scale, min] = scaleAndMin(planes, from, Math.floor(block / blocksPerBlock));
    scales[block] = scale | (min << 16);
  }
  return { quants: bytes, scales };
}

const empty = new Uint32Array(0);

/** f16 bits of a block's scale and minimum; q8 without minimums counts from 128 below. */
function scaleAndMin(
  { scales }: Planes,
  { hasMin }: PlanarLayout,
  block: number,
): readonly [scale: number, min: number] {
  if (hasMin) {
    const word = scales[block]!;
    return [word & 0xffff, word >>> 16];
  }
  const scale = (scales[block >> 1]! >>> (16 * (block & 1))) & 0xffff;
  return [scale, floatToHalf(-128 * halfToFloat(scale))];
}

/** Quants of the q4 layout in that of q8: the same numbers, a byte for each. */
function nibblesToBytes(quants: Uint32Array): Uint32Array<ArrayBuffer> {
  const bytes = new Uint32Array(quants.length * 2);
  for (let word = 0; word < quants.length; word++) {
    // Word c of a block of 32 becomes word c of each of its two runs of 16.
    const to = (word >> 2) * 8 + (word & 3);
    bytes[to] = spread(quants[word]! & 0xffff);
    bytes[to + 4] = spread(quants[word]! >>> 16);
  }
  return bytes;
}

/** Four nibbles to four bytes. */
function spread(nibbles: number): number {
  const pairs = (nibbles | (nibbles << 8)) & 0x00ff00ff;
  return (pairs | (pairs << 4)) & 0x0f0f0f0f;
}

/** Values of q8 quants, rounded to f16, in order. */
function toHalves(
  bytes: Uint32Array,
  planes: Planes,
  layout: PlanarLayout,
  elements: number,
): Uint32Array<ArrayBuffer> {
  const quants = new Uint32Array(elements / 2);
  const halves = new Uint16Array(quants.buffer);
  for (let start = 0; start < elements; start += layout.blockSize) {
    const bits = scaleAndMin(planes, layout, start / layout.blockSize);
    const [scale, min] = [halfToFloat(bits[0]), halfToFloat(bits[1])];
    for (let i = start; i < start + layout.blockSize; i++) {
      const byte = (bytes[(i >> 4) * 4 + (i & 3)]! >>> (8 * ((i >> 2) & 3))) & 255;
      halves[i] = floatToHalf(scale * byte + min);
    }
  }
  return quants;
}
