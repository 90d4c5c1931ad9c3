import { createWorkerEngine, LlmError, ModelFormatError } from "ziggurat-llm";

// A worker of the app's own: its answer shows that page and worker were bundled and found each other.
const worker = new Worker(new URL("./llm.worker.js", import.meta.url), { type: "module" });
createWorkerEngine(worker, new Blob(["no model, but long enough to be read as one"])).then(
  () => document.body.append("loaded what is no model"),
  (error) => {
    const isOurs = error instanceof LlmError && error instanceof ModelFormatError;
    document.body.append(`${isOurs} ${error.name} ${error.code}`);
  },
);
