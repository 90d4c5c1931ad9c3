import type { Engine } from "../../index.ts";
import { workerCpuSeconds } from "./cpu-time.ts";

/** How long a phase took. */
export interface Span {
  readonly tokens: number;
  readonly wallSeconds: number;
  /** Of all threads but the main one; absent where the system doesn't tell. */
  readonly workerCpuSeconds?: number;
}

/** One answer, measured. */
export interface MeasuredAnswer {
  readonly tokenIds: readonly number[];
  /** From the call to the first new token. */
  readonly prefill: Span;
  /** From the first new token to the last. */
  readonly decode: Span;
  /** Bytes of the cache when the answer was complete. */
  readonly kvBytes: number;
}

/** Answer a prompt greedily, and measure it. */
export async function measureAnswer(
  engine: Engine,
  promptIds: readonly number[],
  newTokens: number,
  signal: AbortSignal,
): Promise<MeasuredAnswer> {
  // Another conversation first, or the cache would still hold the prompt of the last run.
  const other = [((promptIds[0] as number) + 1) % engine.config.vocabSize];
  await engine.generate(other, { maxTokens: 1, signal }).result;
  const generation = engine.generate(promptIds, { maxTokens: newTokens, signal });
  const start = workerCpuSeconds();
  let first: number | undefined;
  for await (const { tokenIds } of generation) {
    if (tokenIds.length > 0) first ??= workerCpuSeconds();
  }
  const end = workerCpuSeconds();
  const { timings, tokenIds, memory } = await generation.result;
  return {
    tokenIds,
    prefill: span(promptIds.length, timings.timeToFirstTokenMs, start, first),
    decode: span(timings.decodeTokens, timings.decodeMs, first, end),
    kvBytes: memory.kv.allocated,
  };
}

function span(tokens: number, ms: number, from?: number, to?: number): Span {
  const wallSeconds = ms / 1000;
  if (from === undefined || to === undefined) return { tokens, wallSeconds };
  return { tokens, wallSeconds, workerCpuSeconds: to - from };
}

/** The middle value; of an even number the lower one of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor((sorted.length - 1) / 2)] ?? NaN;
}
