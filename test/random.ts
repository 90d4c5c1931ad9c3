/** A seeded generator of test inputs: the same seed gives the same numbers on every machine. */
export interface Random {
  /** A whole number in `[0, limit)`, `limit` at most 2^32. */
  integer(limit: number): number;
  /** A number in `[low, high)`, by default `[0, 1)`. */
  uniform(low?: number, high?: number): number;
  /** A number of the standard normal distribution. */
  normal(): number;
  /** `length` normal numbers times `scale`, rounded to f32. */
  normals(length: number, scale?: number): Float32Array<ArrayBuffer>;
  /** `length` numbers in `[low, high)`, rounded to f32. */
  uniforms(length: number, low?: number, high?: number): Float32Array<ArrayBuffer>;
  /** `length` whole numbers in `[0, limit)`. */
  integers(length: number, limit: number): Uint32Array<ArrayBuffer>;
}

/** Makes a generator: a 32-bit counter hashed by two multiply-xorshift rounds. */
export function seededRandom(seed: number): Random {
  let counter = Math.imul(seed, 0x9e3779b9);
  const bits = (): number => {
    counter = (counter + 0x9e3779b9) | 0;
    let x = Math.imul(counter ^ (counter >>> 16), 0x21f0aaad);
    x = Math.imul(x ^ (x >>> 15), 0x735a2d97);
    return (x ^ (x >>> 15)) >>> 0;
  };
  const random: Random = {
    integer: (limit) => Math.floor((bits() / 2 ** 32) * limit),
    uniform: (low = 0, high = 1) => low + (bits() / 2 ** 32) * (high - low),
    normal: () =>
      Math.sqrt(-2 * Math.log((bits() + 1) / 2 ** 32)) * Math.cos((2 * Math.PI * bits()) / 2 ** 32),
    normals: (length, scale = 1) => Float32Array.from({ length }, () => random.normal() * scale),
    uniforms: (length, low, high) => Float32Array.from({ length }, () => random.uniform(low, high)),
    integers: (length, limit) => Uint32Array.from({ length }, () => random.integer(limit)),
  };
  return random;
}
