/**
 * Importing this in a worker serves an engine to `createWorkerEngine`. The app owns the worker's file,
 * which has one line: `import "ziggurat-llm/worker";`
 */
import { serveEngine } from "./api/worker-host.ts";
import { loadEngine } from "./engine/load.ts";

serveEngine(globalThis, loadEngine);
