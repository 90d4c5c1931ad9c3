import { InvalidOptionError } from "../errors.ts";

/** How the next token is chosen. What is left out takes the value that changes nothing. */
export interface SamplingOptions {
  /**
   * Divides the logits: below 1 the choice is surer, above 1 more varied. 0 (the default) always
   * takes the best token: deterministic, and the options below the repetition penalty do nothing.
   */
  readonly temperature?: number;
  /** Divides the positive logits of tokens seen before, multiplies the others. 1 (default): off. */
  readonly repetitionPenalty?: number;
  /** Only the k best tokens, ties to the lower id. 0 (default): off. */
  readonly topK?: number;
  /** Only the fewest best tokens that reach this share of the probability. 1 (default): off. */
  readonly topP?: number;
  /** Only tokens at least this many times as probable as the best one. 0 (default): off. */
  readonly minP?: number;
  /** Same seed, same prompt, same device: same tokens. By default a random one. */
  readonly seed?: number;
}

/** Sampling options that were checked, with every value present. */
export type ResolvedSampling = Readonly<Required<SamplingOptions>>;

const MIN_TEMPERATURE = 1e-6;
const MAX_TEMPERATURE = 100;
const MIN_PENALTY = 0.01;
const MAX_PENALTY = 100;

/**
 * Check sampling options and fill in what is left out. The order in which they apply is that of
 * Hugging Face transformers (`GenerationMixin._get_logits_processor`): repetition penalty,
 * temperature, top-k, top-p (of what top-k left), min-p.
 * @throws InvalidOptionError
 */
export function resolveSampling(options: SamplingOptions = {}): ResolvedSampling {
  const {
    temperature = 0,
    repetitionPenalty = 1,
    topK = 0,
    topP = 1,
    minP = 0,
    seed = randomSeed(),
  } = options;
  if (temperature !== 0) {
    const rule = `0 (always the best token) or from ${MIN_TEMPERATURE} to ${MAX_TEMPERATURE}`;
    check("temperature", temperature, within(temperature, MIN_TEMPERATURE, MAX_TEMPERATURE), rule);
  }
  check(
    "repetitionPenalty",
    repetitionPenalty,
    within(repetitionPenalty, MIN_PENALTY, MAX_PENALTY),
    `from ${MIN_PENALTY} to ${MAX_PENALTY} (1: off)`,
  );
  check("topK", topK, isU32(topK), "a whole number from 1, or 0 (off)");
  check("topP", topP, topP > 0 && topP <= 1, "above 0, at most 1 (off)");
  check("minP", minP, within(minP, 0, 1), "from 0 (off) to 1");
  check("seed", seed, isU32(seed), "a whole number from 0 to 4294967295");
  return { temperature, repetitionPenalty, topK, topP, minP, seed };
}

function check(option: string, value: unknown, holds: boolean, rule: string): void {
  if (typeof value !== "number" || !holds) throw new InvalidOptionError(option, value, rule);
}

function within(value: number, low: number, high: number): boolean {
  return value >= low && value <= high;
}

function isU32(value: number): boolean {
  return Number.isInteger(value) && value >= 0 && value < 2 ** 32;
}

function randomSeed(): number {
  return crypto.getRandomValues(new Uint32Array(1))[0] as number;
}
