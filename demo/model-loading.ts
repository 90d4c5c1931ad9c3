import { type CacheOptions, createWorkerEngine, type Engine } from "../src/index.ts";
import type { LoadFigures, ModelChoice } from "./chat-state.ts";
import { createRateMeter } from "./rate-meter.ts";

/** Figures of a load that has only begun. */
export const NO_FIGURES: LoadFigures = {
  stage: "open",
  loadedBytes: 0,
  totalBytes: 0,
  bytesPerSecond: undefined,
  msLeft: undefined,
};

/**
 * Load a model with such a cache, telling how fast it comes.
 * @throws what `loadEngine` throws; the signal's reason when it is aborted
 */
export async function loadModel(
  choice: ModelChoice,
  cache: CacheOptions,
  signal: AbortSignal,
  onFigures: (figures: LoadFigures) => void,
): Promise<Engine> {
  signal.throwIfAborted();
  const meter = createRateMeter();
  const worker = new Worker(new URL("./llm.worker.ts", import.meta.url), { type: "module" });
  const engine = await createWorkerEngine(worker, choice.source, {
    cache,
    signal,
    onProgress(progress) {
      if (progress.stage === "weights") meter.add(progress.loadedBytes, performance.now());
      onFigures({
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
