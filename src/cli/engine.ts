import { type Engine, loadEngine } from "../index.ts";
import type { Args } from "./args.ts";
import { openDawn } from "./dawn.ts";
import { kvDtype, openModel } from "./model.ts";

/**
 * Load the model that `--model` names, run `work`, and free the GPU. Ctrl-C aborts the work, so
 * that the GPU is left in order; a second one ends the process.
 */
export async function withEngine<T>(
  args: Args,
  work: (engine: Engine, signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const cache = kvDtype(args.text("kv-dtype"));
  const source = await openModel(args.required("model"));
  const interrupted = new AbortController();
  const onInterrupt = (): void => interrupted.abort(new DOMException("interrupted", "AbortError"));
  process.once("SIGINT", onInterrupt);
  const { signal } = interrupted;
  const engine = await loadEngine(source, { gpu: await openDawn(), cache, signal });
  try {
    return await work(engine, signal);
  } finally {
    process.removeListener("SIGINT", onInterrupt);
    await engine.destroy();
  }
}
