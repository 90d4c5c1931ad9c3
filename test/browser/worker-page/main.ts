import {
  createWorkerEngine,
  loadEngine,
  ModelFormatError,
  type ModelSource,
  SourceError,
  WorkerError,
} from "../../../src/index.ts";

/** An app of its own, with its own one-line worker: what the test calls from outside. */
const app = {
  createWorkerEngine,
  loadEngine,
  makeWorker: (): Worker =>
    new Worker(new URL("./llm.worker.ts", import.meta.url), { type: "module" }),
  errors: { ModelFormatError, SourceError, WorkerError },
  /** The model as a Blob. */
  fetchModel: async (): Promise<ModelSource> => (await fetch("tiny-flow.gguf")).blob(),
};

declare global {
  interface Window {
    app: typeof app;
  }
}
window.app = app;
