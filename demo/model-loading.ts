import {
  type CacheOptions,
  createWorkerEngine,
  type Engine,
  type LoadOptions,
  type ModelSource,
} from "../src/index.ts";
import type { LoadFigures, ModelChoice } from "./chat-state.ts";
import { fetchKept, isKeepable } from "./kept-models.ts";
import { createRateMeter } from "./rate-meter.ts";

/** Figures of a load that has only begun. */
export const NO_FIGURES: LoadFigures = {
  stage: "fetch",
  loadedBytes: 0,
  totalBytes: 0,
  storedBytes: 0,
  bytesPerSecond: undefined,
  msLeft: undefined,
  notKept: undefined,
};

/** Where a model runs, and what its trace holds. */
export interface ModelHost {
  /** Called once the file is here. */
  makeWorker(): Worker;
  readonly trace: NonNullable<LoadOptions["trace"]>;
}

const CHAT_HOST: ModelHost = {
  makeWorker: () => new Worker(new URL("./llm.worker.ts", import.meta.url), { type: "module" }),
  // For the memory page.
  trace: true,
};

/**
 * Load a model with such a cache, telling how fast it comes. A file of the network is copied to this
 * device first, so that it is fetched once.
 * @throws what `loadEngine` throws; the signal's reason when it is aborted
 */
export async function loadModel(
  choice: ModelChoice,
  cache: CacheOptions,
  signal: AbortSignal,
  onFigures: (figures: LoadFigures) => void,
  { makeWorker, trace }: ModelHost = CHAT_HOST,
): Promise<Engine> {
  signal.throwIfAborted();
  let figures = NO_FIGURES;
  const tell = (news: Partial<LoadFigures>): void => {
    figures = { ...figures, bytesPerSecond: undefined, msLeft: undefined, ...news };
    onFigures(figures);
  };
  const source = await fetchModel(choice.source, signal, tell);
  signal.throwIfAborted();
  const meter = createRateMeter();
  const engine = await createWorkerEngine(makeWorker(), source, {
    cache,
    signal,
    trace,
    onProgress(progress) {
      if (progress.stage === "weights") meter.add(progress.loadedBytes, performance.now());
      tell({
        ...progress,
        bytesPerSecond: meter.perSecond(),
        msLeft:
          progress.loadedBytes < progress.totalBytes
            ? meter.msLeft(progress.totalBytes)
            : undefined,
      });
    },
  });
  // Cancelled in the last moment: the caller has gone on without it.
  if (signal.aborted) await engine.destroy();
  signal.throwIfAborted();
  return engine;
}

async function fetchModel(
  source: ModelChoice["source"],
  signal: AbortSignal,
  tell: (news: Partial<LoadFigures>) => void,
): Promise<ModelSource> {
  if (!isKeepable(source)) return source;
  const meters = { fetch: createRateMeter(), check: createRateMeter() };
  const kept = await fetchKept(
    source,
    signal,
    ({ stage, loadedBytes, totalBytes, storedBytes }) => {
      const meter = meters[stage];
      meter.add(loadedBytes, performance.now());
      tell({
        ...{ stage, loadedBytes, totalBytes, storedBytes },
        bytesPerSecond: meter.perSecond(),
        msLeft: loadedBytes < totalBytes ? meter.msLeft(totalBytes) : undefined,
      });
    },
  );
  if (typeof kept === "string") tell({ notKept: kept });
  return typeof kept === "string" || kept === undefined ? source : kept;
}
