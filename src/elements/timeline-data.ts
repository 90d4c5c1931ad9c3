import { entryAt } from "../profile/entry-at.ts";
import { formatBytes, formatMiB, formatTime } from "./format.ts";
import type { PaletteName } from "./palette.ts";

/** One band of the stack. */
export interface TimelineSeries {
  readonly colour: PaletteName;
  readonly label: string;
  /** Bytes from `times[i]` to `times[i + 1]`. */
  readonly bytes: readonly number[];
}

/** What `zig-timeline` shows. Times are in ms, ascending. */
export interface TimelineData {
  readonly times: readonly number[];
  readonly end: number;
  /** From the bottom of the stack to its top. */
  readonly series: readonly TimelineSeries[];
  readonly total: readonly number[];
  /** The total if the cache were a full one. */
  readonly full: readonly number[];
  readonly phases: readonly {
    readonly name: string;
    readonly layer?: number;
    readonly start: number;
    readonly end: number;
  }[];
}

/** Everything that has a line in the table. */
export function bands({
  series,
  total,
}: TimelineData): readonly Pick<TimelineSeries, "label" | "bytes">[] {
  return [...series, { label: "Total", bytes: total }];
}

/** Most bytes of what has a line in the table, in its order; the last is the total. */
export function bandPeaks(data: TimelineData): readonly number[] {
  return bands(data).map(({ bytes }) => mostOf(bytes));
}

/** The largest of many numbers; 0 of none. */
export function mostOf(values: readonly number[]): number {
  let most = 0;
  for (const value of values) if (value > most) most = value;
  return most;
}

/** For each column the entry with the most bytes in it, so that no peak is lost; -1 before all. */
export function peaksByColumn(
  { times, total }: TimelineData,
  start: number,
  end: number,
  columns: number,
): Int32Array {
  const most = new Int32Array(columns);
  const step = (end - start) / columns;
  let next = entryAt(times, start);
  for (let column = 0; column < columns; column++) {
    const until = start + (column + 1) * step;
    let best = next;
    while (next + 1 < times.length && (times[next + 1] as number) < until) {
      next++;
      if (best < 0 || (total[next] as number) > (total[best] as number)) best = next;
    }
    most[column] = best;
  }
  return most;
}

/** Runs of phases under one name: prefill and compress alternate by layer. */
export function phaseGroups({
  phases,
}: TimelineData): { name: string; start: number; end: number }[] {
  const groups: { name: string; start: number; end: number }[] = [];
  for (const { name: phase, start, end, layer } of phases) {
    const name = phase === "compress" && layer !== undefined ? "prefill" : phase;
    const last = groups.at(-1);
    if (last?.name === name) last.end = end;
    else groups.push({ name, start, end });
  }
  return groups;
}

/** A moment in words. */
export function describe({ times, total, phases, series }: TimelineData, at: number): string {
  const entry = Math.max(entryAt(times, at), 0);
  const phase = phases.find(({ start, end }) => start <= at && at <= end);
  const doing =
    phase === undefined
      ? "idle"
      : `${phase.name}${phase.layer === undefined ? "" : ` layer ${phase.layer}`}`;
  const parts = series
    .filter(({ bytes }) => (bytes[entry] ?? 0) > 0)
    .map(({ label, bytes }) => `${label.toLowerCase()} ${formatBytes(bytes[entry] as number)}`);
  return `${formatTime(at)}, ${doing}: ${formatMiB(total[entry] ?? 0)} in all; ${parts.join(", ")}.`;
}
