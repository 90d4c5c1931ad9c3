import { GenerationStream } from "../engine/generation.ts";
import type { ModelSource } from "../hub/open-source.ts";
import type { GenerateResult, Piece } from "../engine/generate-types.ts";
import type { Engine, LoadOptions } from "../engine/types.ts";
import { InvalidOptionError } from "../errors.ts";
import { type WorkerLike, WorkerLink } from "./worker-link.ts";
import { type EngineFacts, PROMISE_METHODS, type PromiseMethod } from "./worker-protocol.ts";

/** The worker takes WebGPU from its own `navigator`. */
export type WorkerLoadOptions = Omit<LoadOptions, "gpu">;

/**
 * Load a model inside a worker, which the app makes from a file of its own whose one line imports
 * `ziggurat-llm/worker`:
 *
 * ```ts
 * const worker = new Worker(new URL("./llm.worker.ts", import.meta.url), { type: "module" });
 * const engine = await createWorkerEngine(worker, "/models/smollm2.gguf");
 * ```
 *
 * The engine that it gives is like that of `loadEngine`. Files and Blobs are handed over without a
 * copy; what reads by a function (a ByteSource, a folder of `modelStore`) stays here and is read through messages. Pieces are pushed, and the worker waits when they are not taken. `memory()` is the last state
 * that the worker sent: with every progress, piece and result, while streaming at most ten times a
 * second. The worker belongs to the engine: it is terminated when the engine is destroyed, when loading is
 * aborted, and when this throws.
 *
 * @throws what `loadEngine` throws, as the same classes; WorkerError when the worker cannot start or
 * is ended, then and in every later call.
 */
export async function createWorkerEngine(
  worker: WorkerLike,
  source: ModelSource,
  options: WorkerLoadOptions = {},
): Promise<Engine> {
  if ("gpu" in options) {
    throw new InvalidOptionError("gpu", "one", "left out: a worker has its own navigator.gpu");
  }
  const link = new WorkerLink(worker);
  const { signal } = options;
  // At once: the worker may never answer, and what it has loaded so far ends with it.
  const stop = (): void => link.end(signal?.reason);
  signal?.addEventListener("abort", stop);
  try {
    const facts = (await link.call("load", [link.pack(source), options])) as EngineFacts;
    signal?.throwIfAborted();
    return workerEngine(link, facts);
  } catch (error) {
    link.end(error);
    throw error;
  } finally {
    signal?.removeEventListener("abort", stop);
  }
}

function workerEngine(link: WorkerLink, facts: EngineFacts): Engine {
  const forwarded = Object.fromEntries(
    PROMISE_METHODS.map((method) => [method, (...args: unknown[]) => link.call(method, args)]),
  ) as unknown as Pick<Engine, PromiseMethod>;
  let destroyed: Promise<void> | undefined;
  return {
    ...facts,
    ...forwarded,
    get dispatchesPerToken() {
      return link.state.dispatchesPerToken;
    },
    memory: () => link.state.memory,
    generate(prompt, options = {}) {
      const pieces = link.stream("generate", [prompt, options]);
      return new GenerationStream(pieces as AsyncGenerator<Piece, GenerateResult>);
    },
    destroy() {
      destroyed ??= destroyIn(link);
      return destroyed;
    },
  };
}

async function destroyIn(link: WorkerLink): Promise<void> {
  try {
    await link.call("destroy", []);
  } catch (error) {
    if (!link.isEnded) throw error; // a worker that is gone holds nothing any more
  } finally {
    link.end(new DOMException("the engine was destroyed", "AbortError"));
  }
}
