import { planPrompt } from "../../cache/plan-prompt.ts";
import { type CachePlan, planCache } from "../../cache/scheduler.ts";
import { resolveCacheOptions } from "../../cache/options.ts";
import { type CacheBench, pyramid } from "./cache-bench.ts";
import {
  between,
  pairedRatio,
  type PairedRatio,
  type Stamp,
  stamp,
  type Took,
} from "./stopwatch.ts";

/** A long answer from a cache of a fixed budget. */
export interface AnswerReport {
  readonly budget: number;
  readonly tokens: number;
  /** Seconds per token, of the first and the last `partTokens` tokens. */
  readonly partTokens: number;
  readonly first: Took;
  readonly last: Took;
  /** Time per token at the end, relative to the start. */
  readonly lastToFirst: PairedRatio;
  /** Most bytes of the cache between two pieces of text, and at any moment. */
  readonly kvBytes: number;
  readonly kvPeakBytes: number;
  /** What the plan allows for either. */
  readonly plannedBytes: number;
  readonly plannedPeakBytes: number;
  /** What the answer starts and ends with: still text? */
  readonly start: string;
  readonly end: string;
}

const SHOWN_CHARACTERS = 160;

/** Generate a long answer to a short prompt: memory and speed have to stay what they are. */
export async function longAnswer(bench: CacheBench): Promise<AnswerReport> {
  const { engine, sizes, signal, log, kvDtype } = bench;
  const { answerTokens, partTokens, budget } = sizes;
  const ids = bench.prompt(sizes.shortPrompt);
  await engine.setCache(pyramid(bench));
  // Greedily a small model ends in a loop, with any cache; the penalty keeps it from ending too soon.
  const options = {
    maxTokens: answerTokens,
    temperature: 0.8,
    topP: 0.95,
    seed: 1,
    repetitionPenalty: 1.1,
    signal,
  };
  const generation = engine.generate(ids, options);
  const marks: { readonly tokens: number; readonly at: Stamp }[] = [];
  let [tokens, kvBytes, logged] = [0, 0, 0];
  for await (const { tokenIds } of generation) {
    tokens += tokenIds.length;
    marks.push({ tokens, at: stamp() });
    kvBytes = Math.max(kvBytes, engine.memory().kv.allocated);
    if (tokens < logged) continue;
    log(`long answer: ${tokens} of ${answerTokens} tokens`);
    logged += partTokens;
  }
  const { text, memory } = await generation.result;
  const perToken = (from: number, to: number): Took => {
    const [a, b] = [from, to].map((n) => marks.find((mark) => mark.tokens >= n)) as typeof marks;
    if (a === undefined || b === undefined) throw new Error(`the answer has only ${tokens} tokens`);
    const { wallSeconds, workerCpuSeconds } = between(a.at, b.at);
    const steps = b.tokens - a.tokens;
    return {
      wallSeconds: wallSeconds / steps,
      ...(workerCpuSeconds === undefined ? {} : { workerCpuSeconds: workerCpuSeconds / steps }),
    };
  };
  const part = Math.min(partTokens, Math.floor(tokens / 2));
  const first = perToken(1, part);
  const last = perToken(tokens - part, tokens);
  const planned = plannedBytes(bench, ids.length, tokens);
  await engine.setCache({ kvDtype });
  return {
    budget,
    tokens,
    partTokens: part,
    first,
    last,
    lastToFirst: pairedRatio([last], [first]),
    kvBytes,
    kvPeakBytes: memory.kv.peak,
    ...planned,
    start: text.slice(0, SHOWN_CHARACTERS),
    end: text.slice(-SHOWN_CHARACTERS),
  };
}

/** What the plan of the prompt's compression, and of every one that decode runs, allows. */
function plannedBytes(
  bench: CacheBench,
  promptTokens: number,
  answerTokens: number,
): { plannedBytes: number; plannedPeakBytes: number } {
  const { numLayers, numHeads, numKvHeads, headDim } = bench.engine.config;
  const shape = { numLayers, numHeads, numKvHeads, headDim, dtype: bench.kvDtype };
  const options = resolveCacheOptions(pyramid(bench), numLayers);
  const prompt: CachePlan = planPrompt(shape, options, promptTokens);
  let [most, peak, last] = [prompt.bytes.final, prompt.bytes.peak, prompt];
  for (let tokens = promptTokens; tokens < promptTokens + answerTokens; tokens += last.spareRows) {
    last = planCache(shape, options, {
      promptTokens,
      tokens: tokens + last.spareRows,
      newTokens: 0,
      lengths: last.capacities,
      capacities: last.capacities,
      longest: Math.max(...last.capacities),
      evict: true,
    });
    most = Math.max(most, last.bytes.final);
    peak = Math.max(peak, last.bytes.peak);
  }
  return { plannedBytes: most, plannedPeakBytes: peak };
}
