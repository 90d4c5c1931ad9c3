import { InvalidOptionError } from "../errors.ts";

/** How the next token is chosen, and what is told of it. What is left out takes the value that changes nothing. */
export interface SamplingOptions {
  /**
   * Divides the logits: below 1 the choice is surer, above 1 more varied. 0 (the default) always
   * takes the best token: deterministic; `topK`, `topP`, `minP` and `seed` do nothing then.
   */
  readonly temperature?: number;
  /** Added to the logits of these token ids, from -100 (as good as never) to 100 (as good as always). */
  readonly logitBias?: Readonly<Record<number, number>>;
  /** Divides the positive logits of tokens seen before, multiplies the others. 1 (default): off. */
  readonly repetitionPenalty?: number;
  /** Taken from a token's logit for each time that the answer has it, -2 to 2. 0 (default): off. */
  readonly frequencyPenalty?: number;
  /** Taken from the logits of all tokens that the answer has, -2 to 2. 0 (default): off. */
  readonly presencePenalty?: number;
  /** Only the k best tokens, ties to the lower id. 0 (default): off. */
  readonly topK?: number;
  /** Only the fewest best tokens that reach this share of the probability. 1 (default): off. */
  readonly topP?: number;
  /** Only tokens at least this many times as probable as the best one. 0 (default): off. */
  readonly minP?: number;
  /** Same seed, same prompt, same device: same tokens. By default a random one. */
  readonly seed?: number;
  /**
   * Tell each token's log-probability, and those of so many of the best tokens in its place, 0 to 20.
   * They are the model's own: before bias, penalties, temperature and cuts. By default not told.
   */
  readonly logprobs?: number;
}

/** Sampling options that were checked, with every value present. */
export type ResolvedSampling = Readonly<
  Required<Omit<SamplingOptions, "logprobs" | "logitBias">>
> & {
  readonly logprobs: number | undefined;
  /** Token ids and what is added to their logits. */
  readonly logitBias: readonly (readonly [id: number, bias: number])[];
};

/** Most tokens of which `logprobs` tells beside the chosen one. */
export const MAX_LOGPROBS = 20;

const MIN_TEMPERATURE = 1e-6;
const MAX_TEMPERATURE = 100;
const MIN_PENALTY = 0.01;
const MAX_PENALTY = 100;
const MAX_BIAS = 100;
const MAX_TOKEN_PENALTY = 2;

/**
 * Check sampling options and fill in what is left out. The order in which they apply is that of
 * Hugging Face transformers (`GenerationMixin._get_logits_processor`) and, for what is not in it, of
 * vLLM: bias, repetition penalty, frequency and presence penalty, temperature, top-k, top-p (of what
 * top-k left), min-p.
 * @param vocabSize where it is known, biases for other tokens are refused
 * @throws InvalidOptionError
 */
export function resolveSampling(
  options: SamplingOptions = {},
  vocabSize: number = 2 ** 32,
): ResolvedSampling {
  const {
    temperature = 0,
    logitBias = {},
    repetitionPenalty = 1,
    frequencyPenalty = 0,
    presencePenalty = 0,
    topK = 0,
    topP = 1,
    minP = 0,
    seed = randomSeed(),
    logprobs,
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
  for (const [option, value] of Object.entries({ frequencyPenalty, presencePenalty })) {
    const holds = within(value, -MAX_TOKEN_PENALTY, MAX_TOKEN_PENALTY);
    check(option, value, holds, `from ${-MAX_TOKEN_PENALTY} to ${MAX_TOKEN_PENALTY} (0: off)`);
  }
  check("topK", topK, isU32(topK), "a whole number from 1, or 0 (off)");
  check("topP", topP, topP > 0 && topP <= 1, "above 0, at most 1 (off)");
  check("minP", minP, within(minP, 0, 1), "from 0 (off) to 1");
  check("seed", seed, isU32(seed), "a whole number from 0 to 4294967295");
  if (logprobs !== undefined) {
    const holds = Number.isInteger(logprobs) && within(logprobs, 0, MAX_LOGPROBS);
    check("logprobs", logprobs, holds, `a whole number from 0 to ${MAX_LOGPROBS}, or left out`);
  }
  return {
    temperature,
    logitBias: biases(logitBias, vocabSize),
    repetitionPenalty,
    frequencyPenalty,
    presencePenalty,
    topK,
    topP,
    minP,
    seed,
    logprobs,
  };
}

function biases(logitBias: unknown, vocabSize: number): ResolvedSampling["logitBias"] {
  if (typeof logitBias !== "object" || logitBias === null || Array.isArray(logitBias)) {
    throw new InvalidOptionError("logitBias", logitBias, "an object of token ids and numbers");
  }
  return Object.entries(logitBias).map(([key, bias]: [string, unknown]) => {
    const id = Number(key);
    if (!/^\d+$/.test(key) || id >= vocabSize) {
      throw new InvalidOptionError("logitBias", key, `for token ids from 0 to ${vocabSize - 1}`);
    }
    const holds = within(bias as number, -MAX_BIAS, MAX_BIAS);
    check(`logitBias[${id}]`, bias, holds, `from ${-MAX_BIAS} to ${MAX_BIAS}`);
    return [id, bias as number];
  });
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
