import type { TimedDispatch } from "../gpu/kernel-timer.ts";
import type { KernelTime, KernelTimes } from "./trace.ts";

/** Times of one kernel in one layer that are kept for its percentiles. */
const MAX_SAMPLES = 1024;

interface Sum {
  readonly kernel: string;
  readonly layer: number | undefined;
  dispatches: number;
  totalNs: number;
  /** Of the latest steps or submits. */
  readonly samples: number[];
  next: number;
}

/** Sums GPU times by kernel and layer, and keeps what percentiles need. */
export class KernelStats {
  /** Why no times come, in words. */
  unavailable: string | undefined = "Kernel times were not asked for.";
  skipped = 0;
  #steps = 0;
  #quantumNs = Infinity;
  readonly #sums = { decode: new Map<string, Sum>(), prefill: new Map<string, Sum>() };
  #lastStep: readonly TimedDispatch[] = [];

  /** The dispatches of one decode step, or of one submit of a prefill. */
  add(kind: "prefill" | "decode", dispatches: readonly TimedDispatch[]): void {
    const here = new Map<Sum, number>();
    for (const { kernel, layer, startNs, durationNs } of dispatches) {
      const sum = this.#sum(kind, kernel, layer);
      sum.dispatches++;
      sum.totalNs += durationNs;
      here.set(sum, (here.get(sum) ?? 0) + durationNs);
      for (const ns of [durationNs, startNs - (dispatches[0] as TimedDispatch).startNs]) {
        if (ns > 0) this.#quantumNs = Math.min(this.#quantumNs, ns);
      }
    }
    for (const [sum, ns] of here) {
      sum.samples[sum.next] = ns;
      sum.next = (sum.next + 1) % MAX_SAMPLES;
    }
    if (kind !== "decode") return;
    this.#steps++;
    this.#lastStep = dispatches;
  }

  report(): KernelTimes {
    const first = this.#lastStep[0]?.startNs ?? 0;
    return {
      ...(this.unavailable === undefined ? {} : { unavailable: this.unavailable }),
      quantumNs: Number.isFinite(this.#quantumNs) ? this.#quantumNs : 0,
      steps: this.#steps,
      skipped: this.skipped,
      decode: [...this.#sums.decode.values()].map(timeOf),
      prefill: [...this.#sums.prefill.values()].map(timeOf),
      lastStep: this.#lastStep.map(({ kernel, layer, startNs, durationNs }) => ({
        kernel,
        ...(layer === undefined ? {} : { layer }),
        startMs: (startNs - first) / 1e6,
        durationMs: durationNs / 1e6,
      })),
    };
  }

  #sum(kind: "prefill" | "decode", kernel: string, layer: number | undefined): Sum {
    const key = `${kernel}:${layer ?? ""}`;
    let sum = this.#sums[kind].get(key);
    if (sum === undefined) {
      sum = { kernel, layer, dispatches: 0, totalNs: 0, samples: [], next: 0 };
      this.#sums[kind].set(key, sum);
    }
    return sum;
  }
}

function timeOf({ kernel, layer, dispatches, totalNs, samples }: Sum): KernelTime {
  const sorted = samples.toSorted((a, b) => a - b);
  return {
    kernel,
    ...(layer === undefined ? {} : { layer }),
    dispatches,
    totalMs: totalNs / 1e6,
    p50Ms: percentile(sorted, 0.5) / 1e6,
    p95Ms: percentile(sorted, 0.95) / 1e6,
  };
}

/** Nearest-rank percentile of ascending values. */
export function percentile(sorted: readonly number[], share: number): number {
  return sorted[Math.max(Math.ceil(share * sorted.length) - 1, 0)] ?? 0;
}
