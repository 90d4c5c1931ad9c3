import { floatToHalf, halfToFloat } from "../../src/formats/half.ts";

/** One block of 32 as `quantize_rows` makes it. */
export interface QuantizedBlock {
  /** f16 bits; `min` is 0 for q8. */
  readonly scale: number;
  readonly min: number;
  /** 0 to 15, or 1 to 255 around 128. */
  readonly quants: readonly number[];
  /** Sum of the squared differences. */
  readonly error: number;
}

interface Fit {
  readonly scale: number;
  readonly min: number;
  readonly quants: readonly number[];
  readonly error: number;
}

/** Twin of `quantize_rows` for one block: f16 scale and minimum, then the nearest quants; q4 refits twice. */
export function quantizeBlock(values: ArrayLike<number>, bits: 4 | 8): QuantizedBlock {
  const w = Array.from(values);
  const fitTo = (scaleBits: number, minBits: number): Fit => {
    const [scale, min] = [halfToFloat(scaleBits), halfToFloat(minBits)];
    const [least, most] = bits === 4 ? [0, 15] : [-127, 127];
    const quants = w.map((value) => {
      const q = scale === 0 ? 0 : Math.floor((value - min) / scale + 0.5);
      return Math.min(Math.max(q, least), most);
    });
    const error = w.reduce((sum, value, i) => sum + (scale * quants[i] + min - value) ** 2, 0);
    return { scale: scaleBits, min: minBits, quants, error };
  };
  const [low, high] = [Math.min(...w), Math.max(...w)];
  if (bits === 8) {
    const fit = fitTo(floatToHalf(Math.max(Math.abs(low), Math.abs(high)) / 127), 0);
    return { ...fit, quants: fit.quants.map((q) => q + 128) };
  }
  let best = fitTo(floatToHalf((high - low) / 15), floatToHalf(low));
  let last = best;
  for (let turn = 0; turn < 2; turn++) {
    const sum = (f: (q: number, i: number) => number): number =>
      last.quants.reduce((total, q, i) => total + f(q, i), 0);
    const [q, qq, qw, all] = [
      sum((n) => n),
      sum((n) => n * n),
      sum((n, i) => n * w[i]),
      sum((_, i) => w[i]),
    ];
    const spread = 32 * qq - q * q;
    if (spread <= 0) break;
    const scale = (32 * qw - q * all) / spread;
    last = fitTo(floatToHalf(scale), floatToHalf((all - scale * q) / 32));
    if (last.error < best.error) best = last;
  }
  return best;
}
