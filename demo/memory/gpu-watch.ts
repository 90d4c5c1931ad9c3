import { eventTime, type RunTrace } from "../../src/profile.ts";
import type { CountGpuMessage, GpuCountMessage, Survivor, TotalsRequest } from "./count-gpu.ts";

/** The page's end of the worker's second count. */
export interface GpuWatch {
  /** Bytes after each change, as far as they were fetched. */
  readonly totals: readonly number[];
  /** Fetch what changed since. */
  update(): Promise<void>;
  /** What the device held when it was destroyed; undefined where the worker went before it could say. */
  survivors(): Promise<readonly Survivor[] | undefined>;
}

/** A destroyed device's last message may come a little after the engine's own. */
const LAST_WORD_MS = 5000;

/** Watch what a worker that serves a count makes on its GPU. */
export function watchGpu(worker: Worker): GpuWatch {
  const { port1, port2 } = new MessageChannel();
  const totals: number[] = [];
  let wake: (() => void) | undefined;
  const message: CountGpuMessage = { countGpu: port2 };
  worker.postMessage(message, [port2]);
  const left = new Promise<readonly Survivor[]>((resolve) => {
    port1.addEventListener("message", ({ data }: MessageEvent<GpuCountMessage>) => {
      if ("survivors" in data) return resolve(data.survivors);
      for (const total of data.totals) totals.push(total);
      wake?.();
    });
    port1.start();
  });
  return {
    totals,
    survivors: () => Promise.race([left, later(LAST_WORD_MS)]),
    update() {
      const request: TotalsRequest = { from: totals.length };
      port1.postMessage(request);
      return new Promise((resolve) => (wake = resolve));
    },
  };
}

/**
 * The second count at a moment of a run: change for change it goes along with the ledger's events.
 * Where the ledger notes more changes than really came, the two differ from there on.
 */
export function countedAt(run: RunTrace, totals: readonly number[], at: number): number {
  const next = run.events.findIndex((event) => eventTime(event) > at);
  const changes = run.droppedEvents + (next < 0 ? run.events.length : next);
  return totals[Math.min(changes, totals.length) - 1] ?? 0;
}

function later(ms: number): Promise<undefined> {
  return new Promise((resolve) => setTimeout(() => resolve(undefined), ms));
}
