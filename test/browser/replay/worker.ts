/** In place of the pages' own worker: the same line to the page, and a replayed run behind it. */
import { serveEngine } from "../../../src/api/worker-host.ts";
import { type Engine, ModelFormatError } from "../../../src/index.ts";
import { ReplayEngine } from "./replay-engine.ts";
import { LONG_RUN, type ReplayedRun } from "./runs.ts";

/** Set before this script by whoever wants another run. */
const { replayedRun = LONG_RUN } = globalThis as { replayedRun?: ReplayedRun };

serveEngine(globalThis, async (source, options = {}) => {
  if (source instanceof File && (await source.slice(0, 4).text()) !== "GGUF") {
    throw new ModelFormatError(source.name, "magic", "GGUF", "something else");
  }
  options.onProgress?.({ stage: "ready", loadedBytes: 1, totalBytes: 1 });
  return new ReplayEngine(replayedRun, options.cache ?? {}) as unknown as Engine;
});
