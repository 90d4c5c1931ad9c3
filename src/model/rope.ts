/** Llama 3's scaling: long waves are slowed down by `factor`, short ones stay, smooth between. */
export interface Llama3RopeScaling {
  readonly factor: number;
  readonly lowFreqFactor: number;
  readonly highFreqFactor: number;
  /** Context that the model was first trained with, in tokens. */
  readonly originalContext: number;
}

export interface RopeOptions {
  /** Base of the geometric series of wavelengths. */
  readonly theta: number;
  /** Leading dimensions of a head that are rotated; even. */
  readonly dim: number;
  /** Linear scaling: positions are divided by this. */
  readonly scale?: number;
  readonly llama3?: Llama3RopeScaling;
  /** Divisors of the frequencies, `dim / 2` (the tensor `rope_freqs.weight` of GGUF files). */
  readonly factors?: ArrayLike<number>;
}

/**
 * Radians per position of each pair of dimensions: `theta^(-2i / dim)`, scaled.
 * Formulas as in Hugging Face transformers, `modeling_rope_utils.py`.
 *
 * @returns `dim / 2` frequencies.
 */
export function ropeFrequencies(options: RopeOptions): Float32Array<ArrayBuffer> {
  const { theta, dim, scale = 1, llama3, factors } = options;
  return Float32Array.from({ length: dim / 2 }, (_, i) => {
    let frequency = theta ** ((-2 * i) / dim) / scale;
    if (llama3 !== undefined) frequency = scaleLlama3(frequency, llama3);
    return frequency / (factors?.[i] ?? 1);
  });
}

function scaleLlama3(frequency: number, scaling: Llama3RopeScaling): number {
  const { factor, lowFreqFactor, highFreqFactor, originalContext } = scaling;
  // Full waves within the original context: few of them means a long wave.
  const waves = (originalContext * frequency) / (2 * Math.PI);
  const share = (waves - lowFreqFactor) / (highFreqFactor - lowFreqFactor);
  const kept = Math.min(Math.max(share, 0), 1);
  return frequency * ((1 - kept) / factor + kept);
}

/** Bits of a turn after the first 32 that the kernel multiplies with the position. */
const FINE_BITS = 12;

/**
 * Frequencies as `rope_append` wants them: turns per position as fixed-point fractions, first the
 * 32 leading bits of each, then the next 12 of each. Their product with a position below 2^20 is
 * exact in u32 arithmetic; cutting the rest off turns by less than 2e-7 rad at position 2^20.
 */
export function ropeTurns(frequencies: Float32Array): Uint32Array<ArrayBuffer> {
  const words = new Uint32Array(2 * frequencies.length);
  frequencies.forEach((frequency, i) => {
    const turns = frequency / (2 * Math.PI);
    const scaled = (turns - Math.floor(turns)) * 2 ** 32;
    words[i] = Math.floor(scaled);
    words[frequencies.length + i] = Math.floor((scaled - Math.floor(scaled)) * 2 ** FINE_BITS);
  });
  return words;
}
