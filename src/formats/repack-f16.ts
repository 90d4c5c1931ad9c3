import { floatBitsToHalf, isHalfNonFinite } from "./half.ts";
import type { Planes } from "./planar.ts";

/**
 * Repacks F16 (exactly), BF16 and F32 (rounded to nearest even) to the f16 layout.
 *
 * @returns how many values are not finite in f16.
 */
export function repackHalf(
  type: "F32" | "F16" | "BF16",
  src: Uint8Array,
  elements: number,
  { quants }: Planes,
): number {
  const bytesEach = type === "F32" ? 4 : 2;
  const view = new DataView(src.buffer, src.byteOffset, elements * bytesEach);
  // Hosts of WebGPU are little endian: even elements are low halves.
  const halves = new Uint16Array(quants.buffer, quants.byteOffset, elements);
  let nonFinite = 0;
  for (let i = 0; i < elements; i++) {
    let half: number;
    if (type === "F16") half = view.getUint16(i * 2, true);
    else if (type === "BF16") half = floatBitsToHalf(view.getUint16(i * 2, true) << 16);
    else half = floatBitsToHalf(view.getUint32(i * 4, true));
    if (isHalfNonFinite(half)) nonFinite++;
    halves[i] = half;
  }
  return nonFinite;
}
