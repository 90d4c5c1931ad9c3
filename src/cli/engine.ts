import {
  type CacheReport,
  type Engine,
  type LoadProgress,
  loadEngine,
  type MatrixReport,
} from "../index.ts";
import type { Args } from "./args.ts";
import { cacheOptions } from "./cache-options.ts";
import { openDawn } from "./dawn.ts";
import { interruptible } from "./interruptible.ts";
import { closeModel, findModel, weightsOption } from "./model.ts";

/** Opens Dawn when an adapter is asked for: by then the model's header was read and is sound. */
const lateDawn = {
  requestAdapter: async (options?: GPURequestAdapterOptions) =>
    (await openDawn()).requestAdapter(options),
} as GPU;

/**
 * Load the model that `--model` names, run `work`, and free the GPU. Ctrl-C aborts the work, so
 * that the GPU is left in order.
 */
export async function withEngine<T>(
  args: Args,
  work: (engine: Engine, signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const cache = cacheOptions(args);
  const weights = weightsOption(args);
  const onProgress = ({ matrices }: LoadProgress): void => {
    if (weights && matrices) process.stderr.write(`${quantizingCost(matrices)}\n`);
  };
  const source = await findModel(args.required("model"));
  return interruptible(async (signal) => {
    const how = { gpu: lateDawn, cache, signal, onProgress, ...(weights && { weights }) };
    const engine = await loadEngine(source, how).finally(() => closeModel(source));
    try {
      return await work(engine, signal);
    } finally {
      await engine.destroy();
    }
  });
}

/** What quantising on load has cost, in a line. */
function quantizingCost(matrices: readonly MatrixReport[]): string {
  const quantized = matrices.filter(({ relativeError }) => relativeError !== undefined);
  const [first] = quantized.toSorted((a, b) => errorOf(b) - errorOf(a));
  if (first === undefined) return "no weights of floats: nothing was quantised";
  const bits = (kind: string): number =>
    quantized.filter(({ layouts }) => layouts.join() === kind).length;
  const mean = quantized.reduce((sum, matrix) => sum + errorOf(matrix), 0) / quantized.length;
  return (
    `quantised ${bits("q4")} matrices to q4, ${bits("q8")} to q8: error ${percent(mean)} of the ` +
    `weights (root mean square, mean of the matrices), at most ${percent(errorOf(first))} in ${first.name}`
  );
}

const errorOf = ({ relativeError = 0 }: MatrixReport): number => relativeError;

const percent = (share: number): string => `${(100 * share).toFixed(2)} %`;

/** A cache report, with the kept positions of the first `tokens` tokens where `--kept` asks. */
export async function reportWithKept(
  args: Args,
  engine: Engine,
  report: CacheReport,
  tokens: number,
): Promise<CacheReport> {
  if (!args.flag("kept")) return report;
  const kept = await engine.keptPositions();
  const layers = report.layers.map((layer, l) => ({
    ...layer,
    kept: (kept[l] as number[][]).map((head) => head.filter((position) => position < tokens)),
  }));
  return { ...report, layers };
}
