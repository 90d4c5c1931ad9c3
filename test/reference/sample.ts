import type { ResolvedSampling } from "../../src/sampling/options.ts";

/** Errors of f32 in sums of thousands of weights stay below this share of the whole. */
const TOLERANCE = 1e-5;

/** The tokens that penalties look at. */
export interface Past {
  /** Those of the prompt, and those chosen. */
  readonly seen: ReadonlySet<number>;
  /** How often each was chosen. */
  readonly counts?: ReadonlyMap<number, number>;
}

/** Bias, repetition, frequency and presence penalty, in f32 as on the GPU. */
export function adjust(
  logits: Float32Array,
  options: ResolvedSampling,
  { seen, counts = new Map() }: Past,
): Float32Array {
  const factor = Math.fround(options.repetitionPenalty);
  const inverse = Math.fround(1 / options.repetitionPenalty);
  const bias = new Map(options.logitBias);
  return logits.map((logit, id) => {
    const count = counts.get(id) ?? 0;
    const biased = Math.fround(logit + Math.fround(bias.get(id) ?? 0));
    const penalised = Math.fround(seen.has(id) ? biased * (biased > 0 ? inverse : factor) : biased);
    const frequency = Math.fround(count * Math.fround(options.frequencyPenalty));
    const presence = Math.fround(count > 0 ? options.presencePenalty : 0);
    return penalised - Math.fround(frequency + presence);
  });
}

/** Tokens from the best to the worst, ties by id, with their weights. */
export interface Ranked {
  readonly ids: readonly number[];
  /** exp((logit - best) / temperature), in the order of `ids`. */
  readonly weights: readonly number[];
}

export function rank(logits: Float32Array, temperature: number): Ranked {
  const ids = Array.from(logits.keys()).sort((a, b) => logits[b] - logits[a] || a - b);
  const best = logits[ids[0]];
  return { ids, weights: ids.map((id) => Math.exp((logits[id] - best) / temperature)) };
}

/** How many of the ranked tokens top-k, top-p and min-p keep. */
export function keptCount(
  { weights }: Ranked,
  { topK, topP, minP }: Pick<ResolvedSampling, "topK" | "topP" | "minP">,
): number {
  let count = topK > 0 ? Math.min(topK, weights.length) : weights.length;
  if (topP < 1) {
    const goal = topP * weights.slice(0, count).reduce((sum, w) => sum + w, 0);
    let sum = 0;
    count = weights.findIndex((w) => (sum += w) >= goal) + 1;
  }
  const tooSmall = weights.findIndex((w) => w < minP);
  return tooSmall < 0 ? count : Math.min(count, tooSmall);
}

/** The kept tokens in order of id, with the running sums of their probabilities. */
export interface Distribution {
  readonly ids: readonly number[];
  readonly upTo: readonly number[];
}

export function distribution({ ids, weights }: Ranked, count: number): Distribution {
  const weightOf = new Map(ids.slice(0, count).map((id, i) => [id, weights[i]]));
  const kept = ids.slice(0, count).sort((a, b) => a - b);
  const total = weights.slice(0, count).reduce((sum, w) => sum + w, 0);
  let sum = 0;
  return { ids: kept, upTo: kept.map((id) => (sum += weightOf.get(id)! / total)) };
}

/** The token that the point `unit` in (0, 1] draws. */
export function draw({ ids, upTo }: Distribution, unit: number): number {
  const at = upTo.findIndex((sum) => sum >= unit);
  return ids[at < 0 ? ids.length - 1 : at];
}

/** Whether `id` is what `unit` draws, give or take TOLERANCE. */
export function isDrawn({ ids, upTo }: Distribution, unit: number, id: number): boolean {
  const at = ids.indexOf(id);
  if (at < 0) return false;
  const from = at === 0 ? 0 : upTo[at - 1];
  return from - TOLERANCE <= unit && unit <= upTo[at] + TOLERANCE;
}

/** The sampler without GPU: every distribution that cuts within TOLERANCE of the exact ones give. */
export function distributions(
  logits: Float32Array,
  options: ResolvedSampling,
  past: Past = { seen: new Set() },
): Distribution[] {
  const ranked = rank(adjust(logits, options, past), options.temperature);
  const { topK, topP, minP } = options;
  const counts = [1, 1 - TOLERANCE, 1 + TOLERANCE].flatMap((p) =>
    [1, 1 - TOLERANCE, 1 + TOLERANCE].map((m) =>
      keptCount(ranked, { topK, topP: topP === 1 ? 1 : topP * p, minP: minP * m }),
    ),
  );
  return [...new Set(counts)].map((count) => distribution(ranked, count));
}

/**
 * Tokens and weights by distance from the best logit, in bins of 1/32 of the temperature: in each
 * its tokens, and the sum of exp(lower end of the bin - distance) - 1, in units of 2^-18.
 */
export function binned(
  logits: Float32Array,
  temperature: number,
): { counts: number[]; excesses: number[] } {
  const counts = Array.from({ length: 1024 }, () => 0);
  const excesses = Array.from({ length: 1024 }, () => 0);
  const best = logits.reduce((m, x) => Math.max(m, x), -Infinity);
  const lowest = Math.fround(best - Math.fround(32 * temperature));
  for (const logit of logits) {
    if (logit < lowest) continue;
    const depth = Math.fround(Math.fround(best - logit) * Math.fround(32 / temperature));
    const bin = Math.min(Math.floor(depth), 1023);
    counts[bin]++;
    excesses[bin] += Math.expm1((bin + 1 - depth) / 32) * 2 ** 18;
  }
  return { counts, excesses };
}
