/** In place of the pages' own worker: the same line to the page, and a replayed run behind it. */
import { serveEngine } from "../../../src/api/worker-host.ts";
import type { Engine } from "../../../src/index.ts";
import { ReplayEngine } from "./replay-engine.ts";

serveEngine(globalThis, async (_source, options) => {
  options?.onProgress?.({ stage: "ready", loadedBytes: 1, totalBytes: 1 });
  return new ReplayEngine() as unknown as Engine;
});
