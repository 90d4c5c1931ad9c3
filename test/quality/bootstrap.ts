import { seededRandom } from "../random.ts";

/** A figure and the interval that holds 95 % of what resampling its documents gives; too few documents give none. */
export interface Estimate {
  readonly value: number;
  readonly interval?: readonly [low: number, high: number];
}

/** Fewer documents than this say nothing of others. */
const LEAST_DOCUMENTS = 4;

const RESAMPLES = 2000;
const SEED = 6;

/**
 * Bootstrap over documents: the mean of one value per document, and how far it depends on which documents there are. The
 * same documents are drawn in every call with as many values, so that figures are comparable.
 */
export function bootstrapMean(values: readonly number[]): Estimate {
  const mean = (of: readonly number[]): number => of.reduce((sum, x) => sum + x, 0) / of.length;
  if (values.length < LEAST_DOCUMENTS) return { value: mean(values) };
  const random = seededRandom(SEED);
  const means = Array.from({ length: RESAMPLES }, () =>
    mean(values.map(() => values[random.integer(values.length)])),
  ).sort((a, b) => a - b);
  const low = means[Math.floor(0.025 * RESAMPLES)];
  const high = means[Math.ceil(0.975 * RESAMPLES) - 1];
  return { value: mean(values), interval: [low, high] };
}

/** Geometric mean of the documents' ratios `values[i] / base[i]`: paired, so that hard documents cancel out. */
export function bootstrapRatio(values: readonly number[], base: readonly number[]): Estimate {
  const { value, interval } = bootstrapMean(values.map((x, i) => Math.log(x / base[i])));
  if (interval === undefined) return { value: Math.exp(value) };
  return { value: Math.exp(value), interval: [Math.exp(interval[0]), Math.exp(interval[1])] };
}

/** `0.115 [0.098, 0.131]`, or the value alone. */
export function estimateText({ value, interval }: Estimate, digits: number): string {
  const [text, ...range] = [value, ...(interval ?? [])].map((x) => x.toFixed(digits));
  return range.length === 0 ? (text as string) : `${text} [${range.join(", ")}]`;
}
