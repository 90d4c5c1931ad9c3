import { workerCpuSeconds } from "./cpu-time.ts";
import { median } from "./measure.ts";

/** A moment: wall time, and CPU time of all threads but the main one where the system tells. */
export interface Stamp {
  readonly wall: number;
  readonly cpu: number | undefined;
}

/** Seconds between two stamps. */
export interface Took {
  readonly wallSeconds: number;
  readonly workerCpuSeconds?: number;
}

export function stamp(): Stamp {
  return { wall: performance.now() / 1000, cpu: workerCpuSeconds() };
}

export function between(from: Stamp, to: Stamp): Took {
  const wallSeconds = to.wall - from.wall;
  if (from.cpu === undefined || to.cpu === undefined) return { wallSeconds };
  return { wallSeconds, workerCpuSeconds: to.cpu - from.cpu };
}

/** Ratios of paired measurements, `a[i] / b[i]`. */
export interface PairedRatio {
  /** Median of the pairs. */
  readonly wall: number;
  readonly workerCpu?: number;
}

/** The median ratio of pairs that ran next to each other, so that what else the machine did cancels out. */
export function pairedRatio(a: readonly Took[], b: readonly Took[]): PairedRatio {
  const wall = median(a.map((took, i) => took.wallSeconds / (b[i] as Took).wallSeconds));
  const cpu = a.map((took, i) => {
    const other = (b[i] as Took).workerCpuSeconds;
    return took.workerCpuSeconds === undefined || !other ? NaN : took.workerCpuSeconds / other;
  });
  return cpu.every(Number.isFinite) ? { wall, workerCpu: median(cpu) } : { wall };
}
