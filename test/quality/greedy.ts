import { workerCpuSeconds } from "../../src/cli/bench/cpu-time.ts";
import { DecodeLoop } from "../../src/engine/decode-loop.ts";
import { Decoder } from "../../src/engine/decoder.ts";
import { prefill } from "../../src/engine/prefill.ts";
import type { Runtime } from "../../src/engine/runtime.ts";
import { resolveSampling } from "../../src/sampling/options.ts";

/** An answer, and how long its tokens but for the first one took. */
export interface GreedyAnswer {
  readonly tokenIds: readonly number[];
  readonly tokensPerSecond: number;
  /** CPU seconds per token of all threads but the main one, where the system tells. */
  readonly cpuSecondsPerToken: number | undefined;
}

/** Answers greedily from whatever cache the runtime has. */
export class GreedyAnswers {
  readonly #runtime: Runtime;
  readonly #decoder: Decoder;
  readonly #loop: DecodeLoop;

  constructor(runtime: Runtime) {
    this.#runtime = runtime;
    this.#decoder = new Decoder(runtime);
    this.#loop = new DecodeLoop(runtime.gpu);
  }

  /** Append tokens without evicting anything, then decode up to `count`; the cache is left as after the tokens. */
  async answer(
    tokenIds: readonly number[],
    count: number,
    stopTokenIds: Iterable<number>,
  ): Promise<GreedyAnswer> {
    const { cache } = this.#runtime;
    const greedy = resolveSampling();
    const promptTokens = cache.tokens + tokenIds.length;
    this.#decoder.begin(tokenIds, stopTokenIds);
    await prefill(
      this.#runtime,
      Uint32Array.from(tokenIds),
      async ({ recorder, hidden, submit }) => {
        this.#decoder.recordFirst(recorder, hidden, tokenIds.length - 1, greedy);
        await submit();
      },
      { promptTokens, evict: false },
    );
    this.#decoder.record(greedy);
    const stops = new Set(stopTokenIds);
    const answer: number[] = [];
    let begun: readonly [seconds: number, cpu: number | undefined] | undefined;
    for await (const { tokens: group } of this.#loop.run(this.#decoder.steps(greedy), count)) {
      begun ??= [performance.now() / 1000, workerCpuSeconds()];
      const end = group.findIndex((id) => stops.has(id));
      answer.push(...(end < 0 ? group : group.subarray(0, end)));
      if (end >= 0) break;
    }
    const [from, cpuFrom] = begun as readonly [number, number | undefined];
    const [seconds, cpu] = [performance.now() / 1000 - from, workerCpuSeconds()];
    cache.settle(promptTokens, true);
    const steps = answer.length - 1;
    return {
      tokenIds: answer,
      tokensPerSecond: steps / seconds,
      cpuSecondsPerToken:
        cpu === undefined || cpuFrom === undefined ? undefined : (cpu - cpuFrom) / steps,
    };
  }

  destroy(): void {
    this.#decoder.destroy();
    this.#loop.destroy();
  }
}
