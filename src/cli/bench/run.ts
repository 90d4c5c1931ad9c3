import { cpus, loadavg, totalmem } from "node:os";
import { readGguf } from "../../formats/gguf.ts";
import { planarBytes, planarLayout } from "../../formats/planar.ts";
import { openGpu } from "../../gpu/device.ts";
import { measureRoofline, type Roofline } from "../../gpu/roofline.ts";
import { type ByteSource, type Engine, type KvDtype, loadEngine } from "../../index.ts";
import { createTokenizer } from "../../text/tokenizer.ts";
import { CACHE_SIZES } from "./cache-bench.ts";
import { runCacheSections } from "./cache-sections.ts";
import { checkPaths } from "./check-paths.ts";
import { measureAnswer, type MeasuredAnswer, median, type Span } from "./measure.ts";
import { promptIds } from "./prompt.ts";
import type { BenchCase, BenchReport, Machine, Phase } from "./report.ts";
import { modelWork } from "./work.ts";

export interface BenchOptions {
  readonly gpu: GPU;
  readonly kvDtype: KvDtype;
  /** Lengths of the prompts. */
  readonly promptTokens: readonly number[];
  /** Tokens to answer each with. */
  readonly newTokens: number;
  /** Measurements of each, after a warm-up. */
  readonly runs: number;
  /** What is measured: `rates`, and sections of cache-sections.ts. */
  readonly sections: ReadonlySet<string>;
  readonly signal: AbortSignal;
  /** Told what is being done. */
  readonly log: (line: string) => void;
}

/** Tokens of the prompt with which the engine is checked. */
const CHECK_TOKENS = 40;

/**
 * Measure what the adapter can reach, load a model, check it, measure it. Phases are measured one after another, with
 * nothing else running in this process.
 * @throws what loading and generating throw; ShaderError when the checks fail.
 */
export async function runBench(source: ByteSource, options: BenchOptions): Promise<BenchReport> {
  const { gpu, kvDtype, signal, log } = options;
  const date = new Date().toISOString();
  const loadBefore = loadavg();
  log("measuring the adapter");
  const roofline = await rooflineOf(gpu);
  const file = await readGguf(source, signal);
  const tokenizer = createTokenizer(file.metadata, file.name);
  log(`loading ${source.name}`);
  const started = performance.now();
  let readAt = started;
  const engine = await loadEngine(source, {
    gpu,
    cache: { kvDtype },
    signal,
    onProgress({ stage }) {
      if (stage === "weights") readAt = performance.now();
    },
  });
  const readyAt = performance.now();
  try {
    log("checking the answers");
    const prompt = promptIds(tokenizer, CHECK_TOKENS);
    await engine.generate(prompt, { maxTokens: 2, signal }).result;
    const firstAnswerSeconds = (performance.now() - readyAt) / 1000;
    await checkPaths(engine, prompt, signal);
    const embedding = file.tensors.has("output.weight")
      ? file.tensors.get("token_embd.weight")
      : undefined;
    const [rows = 0, cols = 0] = embedding?.shape ?? [];
    const unread = embedding && planarBytes(planarLayout(embedding.type), rows, cols);
    const weightBytesPerToken =
      engine.memory().weights - (unread ? unread.quantBytes + unread.scaleBytes : 0);
    const cases: BenchCase[] = [];
    for (const count of options.sections.has("rates") ? options.promptTokens : []) {
      const ids = promptIds(tokenizer, count);
      cases.push(await measureCase(engine, ids, weightBytesPerToken, options));
    }
    const cache = await runCacheSections(
      {
        ...options,
        source,
        engine,
        sizes: CACHE_SIZES,
        prompt: (tokens) => promptIds(tokenizer, tokens),
      },
      options.sections,
    );
    return {
      format: 1,
      date,
      machine: machineOf(loadBefore),
      adapter: engine.adapter,
      roofline,
      kernelChoices: engine.kernelChoices,
      model: {
        source: source.name,
        fileBytes: source.size,
        config: engine.config,
        weightBytesPerToken,
      },
      kvDtype,
      dispatchesPerToken: engine.dispatchesPerToken,
      loading: {
        seconds: (readyAt - started) / 1000,
        compileSeconds: (readyAt - readAt) / 1000,
        firstAnswerSeconds,
      },
      cases,
      cache,
      memory: engine.memory(),
    };
  } finally {
    await engine.destroy();
  }
}

/** On a device of its own, so that the engine's ledger and peak stay the engine's. */
async function rooflineOf(gpu: GPU): Promise<Roofline> {
  const context = await openGpu({ gpu });
  try {
    return await measureRoofline(context);
  } finally {
    context.destroy();
  }
}

async function measureCase(
  engine: Engine,
  ids: readonly number[],
  weightBytesPerToken: number,
  { newTokens, runs, signal, log }: BenchOptions,
): Promise<BenchCase> {
  const loadBefore = loadavg()[0] as number;
  log(`${ids.length} tokens of prompt: warm-up`);
  await measureAnswer(engine, ids, 2, signal);
  const answers: MeasuredAnswer[] = [];
  for (let run = 1; run <= runs; run++) {
    log(`${ids.length} tokens of prompt: run ${run} of ${runs}`);
    answers.push(await measureAnswer(engine, ids, newTokens, signal));
  }
  const [first] = answers as [MeasuredAnswer];
  for (const { tokenIds } of answers) {
    if (tokenIds.join() === first.tokenIds.join()) continue;
    throw new Error(`the same prompt gave [${first.tokenIds.join()}] and [${tokenIds.join()}]`);
  }
  const work = modelWork(engine.config, ids.length);
  const steps = first.decode.tokens;
  const meanLength = ids.length + (steps + 1) / 2;
  const prefill = answers.map((answer) => answer.prefill);
  const decode = answers.map((answer) => answer.decode);
  return {
    promptTokenIds: ids,
    tokenIds: first.tokenIds,
    prefill: phaseOf(prefill, work.prefillFlops),
    decode: phaseOf(decode, steps * work.decodeFlops(meanLength), steps * weightBytesPerToken),
    kvBytes: first.kvBytes,
    loadBefore,
    loadAfter: loadavg()[0] as number,
  };
}

function phaseOf(runs: readonly Span[], flops: number, weightBytes?: number): Phase {
  const seconds = median(runs.map(({ wallSeconds }) => wallSeconds));
  const tokens = runs[0]?.tokens ?? 0;
  const perSecond = (amount: number): number => (seconds > 0 ? amount / seconds : 0);
  return {
    runs,
    tokensPerSecond: perSecond(tokens),
    flopsPerSecond: perSecond(flops),
    ...(weightBytes === undefined ? {} : { weightBytesPerSecond: perSecond(weightBytes) }),
  };
}

function machineOf(loadBefore: readonly number[]): Machine {
  const [first] = cpus();
  return {
    node: process.version,
    cpu: first?.model ?? process.arch,
    cores: cpus().length,
    memoryBytes: totalmem(),
    loadBefore,
    loadAfter: loadavg(),
  };
}
