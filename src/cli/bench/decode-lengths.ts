import { type CacheOptions, type Engine, loadEngine } from "../../index.ts";
import { type CacheBench, pyramid } from "./cache-bench.ts";
import {
  between,
  type PairedRatio,
  pairedRatio,
  type Stamp,
  stamp,
  type Took,
} from "./stopwatch.ts";

/** One of the conversations whose decoding is compared. */
export interface DecodeCase {
  readonly policy: string;
  readonly promptTokens: number;
  /** Seconds per decoded token, of every round. */
  readonly perToken: readonly Took[];
  readonly kvBytes: number;
}

/** Decoding after a short and after a long prompt with the same budget, and with a full cache. */
export interface DecodeReport {
  readonly budget: number;
  readonly short: DecodeCase;
  readonly long: DecodeCase;
  readonly full: DecodeCase;
  /** Time per token after the long prompt, relative to the short one; the same for the full cache. */
  readonly longToShort: PairedRatio;
  readonly fullToShort: PairedRatio;
}

/**
 * Three engines with a conversation each, whose answers are made in turns: a prompt that the cache has seen is not read
 * again, so that only decoding alternates.
 */
export async function compareDecode(bench: CacheBench): Promise<DecodeReport> {
  const { sizes, runs, log, kvDtype } = bench;
  const { shortPrompt, longPrompt, budget } = sizes;
  const turns: Turns[] = [];
  try {
    for (const [options, tokens] of [
      [pyramid(bench), shortPrompt],
      [pyramid(bench), longPrompt],
      [{ kvDtype }, longPrompt],
    ] as const) {
      log(`decode after ${tokens} tokens of prompt: reading them`);
      turns.push(await Turns.open(bench, options, tokens));
    }
    for (let run = 1; run <= runs; run++) {
      log(`decode after prompts of several lengths: round ${run} of ${runs}`);
      for (const turn of turns) await turn.answer();
    }
    const [short, long, full] = turns.map((turn) => turn.report()) as [
      DecodeCase,
      DecodeCase,
      DecodeCase,
    ];
    return {
      budget,
      short,
      long,
      full,
      longToShort: pairedRatio(long.perToken, short.perToken),
      fullToShort: pairedRatio(full.perToken, short.perToken),
    };
  } finally {
    for (const turn of turns) await turn.destroy();
  }
}

class Turns {
  readonly #engine: Engine;
  readonly #prompt: readonly number[];
  readonly #bench: CacheBench;
  readonly #perToken: Took[] = [];

  private constructor(engine: Engine, prompt: readonly number[], bench: CacheBench) {
    this.#engine = engine;
    this.#prompt = prompt;
    this.#bench = bench;
  }

  /** Load an engine, and let it read its prompt and answer once. */
  static async open(bench: CacheBench, cache: CacheOptions, tokens: number): Promise<Turns> {
    const { gpu, signal, source } = bench;
    const engine = await loadEngine(source, { gpu, cache, signal });
    const turns = new Turns(engine, bench.prompt(tokens), bench);
    try {
      await turns.answer();
      turns.#perToken.splice(0);
      return turns;
    } catch (error) {
      await engine.destroy();
      throw error;
    }
  }

  async answer(): Promise<void> {
    const { newTokens: maxTokens, signal } = this.#bench;
    const generation = this.#engine.generate(this.#prompt, { maxTokens, signal });
    let first: Stamp | undefined;
    let last = stamp();
    for await (const { tokenIds } of generation) {
      if (tokenIds.length === 0) continue;
      last = stamp();
      first ??= last;
    }
    const { tokenIds } = await generation.result;
    const { wallSeconds, workerCpuSeconds } = between(first ?? last, last);
    const steps = tokenIds.length - 1;
    this.#perToken.push({
      wallSeconds: wallSeconds / steps,
      ...(workerCpuSeconds === undefined ? {} : { workerCpuSeconds: workerCpuSeconds / steps }),
    });
  }

  report(): DecodeCase {
    const { kv } = this.#engine.memory();
    const policy = kv.layers.some(({ length }) => length < this.#prompt.length)
      ? "pyramidkv"
      : "full";
    const promptTokens = this.#prompt.length;
    return { policy, promptTokens, perToken: this.#perToken, kvBytes: kv.allocated };
  }

  destroy(): Promise<void> {
    return this.#engine.destroy();
  }
}
