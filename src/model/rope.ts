import { ModelFormatError } from "../errors.ts";
import type { ByteSource } from "../formats/byte-source.ts";
import { readVector } from "../formats/stream.ts";
import type { TensorInfo } from "../formats/tensor-types.ts";

/** Llama 3's scaling: long waves are slowed down by `factor`, short ones stay, smooth between. */
export interface Llama3RopeScaling {
  readonly factor: number;
  readonly lowFreqFactor: number;
  readonly highFreqFactor: number;
  /** Context that the model was first trained with, in tokens. */
  readonly originalContext: number;
}

/** Least number that frequencies are divided by: by less, f32 would have no fraction of a turn left, or be infinite. */
export const MIN_ROPE_DIVISOR = 1e-6;

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
 * Read the divisors of the frequencies.
 * @throws ModelFormatError where one is too small, negative or not finite, SourceError.
 */
export async function readRopeFactors(
  source: ByteSource,
  info: TensorInfo,
  signal?: AbortSignal,
): Promise<Float32Array> {
  const factors = await readVector(source, info, signal);
  const bad = factors.findIndex((factor) => factor < MIN_ROPE_DIVISOR);
  if (bad < 0) return factors;
  const expected = `made of numbers of at least ${MIN_ROPE_DIVISOR}`;
  const got = `${factors[bad]} at ${bad}`;
  throw new ModelFormatError(source.name, `tensor "${info.name}"`, expected, got);
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
