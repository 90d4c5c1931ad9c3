const scratch = new ArrayBuffer(4);
const scratchFloat = new Float32Array(scratch);
const scratchBits = new Uint32Array(scratch);

/**
 * IEEE 754 half precision (in the low 16 bits) of a single's bits, rounded to nearest even.
 * Values beyond the range become infinities; NaN stays NaN with the upper bits of its payload.
 */
export function floatBitsToHalf(bits: number): number {
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude >= 0x47800000) {
    // 65536 and above, infinity, NaN (made quiet, so that it can't turn into an infinity).
    if (magnitude > 0x7f800000) return sign | 0x7e00 | ((magnitude >>> 13) & 0x1ff);
    return sign | 0x7c00;
  }
  if (magnitude >= 0x38800000) {
    // Normal: rebias the exponent; a carry out of the mantissa may make 65520 and above an infinity.
    return sign | ((magnitude - 0x38000000 + 0xfff + ((magnitude >>> 13) & 1)) >>> 13);
  }
  const shift = 126 - (magnitude >>> 23);
  // Under half of the smallest subnormal (2^-25 itself ties to the even zero, below).
  if (shift > 24) return sign;
  const mantissa = (magnitude & 0x7fffff) | 0x800000;
  const kept = mantissa >>> shift;
  const rest = mantissa - kept * 2 ** shift;
  const half = 2 ** (shift - 1);
  const roundUp = rest > half || (rest === half && (kept & 1) === 1);
  return sign | (roundUp ? kept + 1 : kept);
}

/** Half precision bits of `value` (taken as a single), rounded to nearest even. */
export function floatToHalf(value: number): number {
  scratchFloat[0] = value;
  return floatBitsToHalf(scratchBits[0] ?? 0);
}

/** The value of half precision bits (the low 16 bits of `half`); exact. */
export function halfToFloat(half: number): number {
  const sign = half & 0x8000 ? -1 : 1;
  const exponent = (half >>> 10) & 0x1f;
  const mantissa = half & 0x3ff;
  if (exponent === 0) return sign * mantissa * 2 ** -24;
  if (exponent === 0x1f) return mantissa === 0 ? sign * Infinity : NaN;
  scratchBits[0] = ((half & 0x8000) << 16) | ((exponent + 112) << 23) | (mantissa << 13);
  return scratchFloat[0] ?? 0;
}

/** True for the bits of an infinity or a NaN in half precision. */
export function isHalfNonFinite(half: number): boolean {
  return (half & 0x7c00) === 0x7c00;
}
