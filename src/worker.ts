/**
 * Importing this in a worker serves an engine to `createWorkerEngine`. The app owns the worker's file,
 * which has one line: `import "ziggurat-llm/worker";` Where nobody could post a message (Node), it does nothing.
 */
import { serveEngine } from "./api/worker-host.ts";
import { loadEngine } from "./engine/load.ts";

if ("addEventListener" in globalThis) serveEngine(globalThis, loadEngine);
