import { type CacheBench, pyramid } from "./cache-bench.ts";
import { CompressionProbe } from "./compression-probe.ts";
import { measureAnswer } from "./measure.ts";
import { type PairedRatio, pairedRatio, type Took } from "./stopwatch.ts";

/** What compressing costs beside reading a prompt and beside decoding. */
export interface CompressionReport {
  readonly promptTokens: number;
  readonly budget: number;
  /** Reading the prompt with a full cache, and with the compressed one: pairs, one after the other. */
  readonly full: readonly Took[];
  readonly compressed: readonly Took[];
  /** Scoring, selection and compaction alone, measured after each pair. */
  readonly alone: readonly Took[];
  /** The same for the compression that decode runs whenever the spare rows are used up. */
  readonly again: readonly Took[];
  /** As many decode steps as there are spare rows, right after it. */
  readonly steps: readonly Took[];
  readonly spareRows: number;
  /** Compressing alone, as a share of reading the prompt with a full cache. */
  readonly share: PairedRatio;
  /** Reading the prompt with the compressed cache, relative to the full one. */
  readonly prefillRatio: PairedRatio;
  /** Compressing again, as a share of the decode steps between two times. */
  readonly againShare: PairedRatio;
}

/** Measure what compression costs, in interleaved pairs. */
export async function compressionCost(bench: CacheBench): Promise<CompressionReport> {
  const { engine, sizes, runs, signal, log, kvDtype } = bench;
  const ids = bench.prompt(sizes.compressedTokens);
  const options = pyramid(bench);
  const probe = await CompressionProbe.open(bench.gpu, engine.config, { ...options, kvDtype });
  const full: Took[] = [];
  const compressed: Took[] = [];
  const alone: Took[] = [];
  const again: Took[] = [];
  const steps: Took[] = [];
  let spareRows = 0;
  try {
    log(`compression of ${ids.length} tokens: warm-up`);
    await probe.prompt(ids.length);
    await probe.again();
    for (let run = 1; run <= runs; run++) {
      log(`compression of ${ids.length} tokens: pair ${run} of ${runs}`);
      await engine.setCache({ kvDtype });
      full.push((await measureAnswer(engine, ids, 1, signal)).prefill);
      await engine.setCache(options);
      alone.push(await probe.prompt(ids.length));
      const { tokens, ...took } = await probe.again();
      again.push(took);
      spareRows = tokens;
      // One token comes with the prompt; the steps stay within the spare rows.
      const { prefill, decode } = await measureAnswer(engine, ids, tokens + 1, signal);
      compressed.push(prefill);
      steps.push(scaled(decode, tokens / decode.tokens));
    }
  } finally {
    probe.destroy();
  }
  await engine.setCache({ kvDtype });
  return {
    promptTokens: ids.length,
    budget: sizes.budget,
    full,
    compressed,
    alone,
    again,
    steps,
    spareRows,
    share: pairedRatio(alone, full),
    prefillRatio: pairedRatio(compressed, full),
    againShare: pairedRatio(again, steps),
  };
}

/** An answer may end early: as if it had not. */
function scaled({ wallSeconds, workerCpuSeconds }: Took, factor: number): Took {
  const wall = { wallSeconds: wallSeconds * factor };
  if (workerCpuSeconds === undefined) return wall;
  return { ...wall, workerCpuSeconds: workerCpuSeconds * factor };
}
