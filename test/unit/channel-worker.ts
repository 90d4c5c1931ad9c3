import { serveEngine, type WorkerScope } from "../../src/api/worker-host.ts";
import type { Engine, loadEngine } from "../../src/index.ts";

/** What loads in such a worker. */
export type Load = (...args: Parameters<typeof loadEngine>) => Promise<Engine> | Engine;

/** A worker on this thread: everything still goes through message channels. */
export class ChannelWorker {
  readonly #channel = new MessageChannel();
  readonly #errorListeners: ((event: Event) => void)[] = [];
  terminated = false;

  constructor(load: Load) {
    serveEngine(this.#channel.port2 as unknown as WorkerScope, async (...args) => load(...args));
    this.#channel.port2.start();
  }

  postMessage(message: unknown, transfer: Transferable[]): void {
    this.#channel.port1.postMessage(message, transfer);
  }

  addEventListener(type: string, listener: (event: Event) => void): void {
    if (type === "error") this.#errorListeners.push(listener);
  }

  terminate(): void {
    this.terminated = true;
    this.#channel.port1.close();
  }

  crash(message: string): void {
    for (const listener of this.#errorListeners) listener({ message } as ErrorEvent);
  }
}
