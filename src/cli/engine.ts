import { type Engine, loadEngine } from "../index.ts";
import type { Args } from "./args.ts";
import { openDawn } from "./dawn.ts";
import { kvDtype, openModel } from "./model.ts";

/** Run `work` with a signal that Ctrl-C aborts; a second Ctrl-C ends the process. */
export async function interruptible<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const interrupted = new AbortController();
  const onInterrupt = (): void => interrupted.abort(new DOMException("interrupted", "AbortError"));
  process.once("SIGINT", onInterrupt);
  try {
    return await work(interrupted.signal);
  } finally {
    process.removeListener("SIGINT", onInterrupt);
  }
}

/**
 * Load the model that `--model` names, run `work`, and free the GPU. Ctrl-C aborts the work, so
 * that the GPU is left in order.
 */
export async function withEngine<T>(
  args: Args,
  work: (engine: Engine, signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const cache = kvDtype(args.text("kv-dtype"));
  const source = await openModel(args.required("model"));
  return interruptible(async (signal) => {
    const engine = await loadEngine(source, { gpu: await openDawn(), cache, signal });
    try {
      return await work(engine, signal);
    } finally {
      await engine.destroy();
    }
  });
}
