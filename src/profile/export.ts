import { indexAt, timelineOf } from "./replay.ts";
import { CATEGORIES, CATEGORY_NAMES, type RunTrace } from "./trace.ts";

/** A run as a file of its own schema; `parseTrace` reads it back. */
export function traceToJson(trace: RunTrace): string {
  return JSON.stringify(trace);
}

/** The layers as the cache was last seen, one line each, with a heading (RFC 4180). */
export function layersToCsv(trace: RunTrace): string {
  const layers = trace.samples.findLast((sample) => sample.layers !== undefined)?.layers ?? [];
  const lines = layers.map((layer, at) => {
    const { budget, length, capacity, bytes, fullBytes, keptMass } = layer;
    const mass =
      keptMass.length > 0 ? keptMass.reduce((sum, m) => sum + m, 0) / keptMass.length : "";
    return [at, budget, length, capacity, bytes, fullBytes, mass].join(",");
  });
  const heading =
    "layer,budget_rows,rows_in_use,rows_allocated,bytes,full_cache_bytes,kept_attention";
  return `${[heading, ...lines].join("\r\n")}\r\n`;
}

/** An event of the Trace Event Format: times in µs. */
interface ChromeEvent {
  readonly ph: "X" | "C" | "M";
  readonly name: string;
  readonly pid: number;
  readonly tid: number;
  readonly ts?: number;
  readonly dur?: number;
  readonly cat?: string;
  readonly args?: Readonly<Record<string, unknown>>;
}

const PID = 1;
const TRACKS = ["engine", "calls", "one decode step on the GPU"] as const;

/**
 * A run as Chrome trace events, for Perfetto or chrome://tracing: phases and calls as slices, bytes
 * as counters, the last timed decode step as a track of its own. No text of the prompt.
 */
export function traceToChrome(trace: RunTrace): string {
  const micros = (ms: number): number => Math.round(ms * 1000);
  const slice = (
    tid: number,
    name: string,
    startMs: number,
    durationMs: number,
    args: Readonly<Record<string, unknown>> = {},
  ): ChromeEvent => ({
    ph: "X",
    cat: "ziggurat",
    name,
    pid: PID,
    tid,
    ts: micros(startMs),
    dur: micros(durationMs),
    args,
  });
  const name = (what: string, tid: number, text: string): ChromeEvent => ({
    ph: "M",
    name: what,
    pid: PID,
    tid,
    args: { name: text },
  });
  const phases = trace.phases.map(({ name: what, layer, start, end }) =>
    slice(0, layer === undefined ? what : `${what} layer ${layer}`, start, end - start),
  );
  const calls = trace.calls.map(({ start, end, ...args }, at) =>
    slice(1, `generate ${at}`, start, end - start, args),
  );
  const stepAt = trace.phases.findLast((phase) => phase.name === "decode")?.start ?? 0;
  const step = trace.kernels.lastStep.map(({ kernel, layer, startMs, durationMs }) =>
    slice(2, kernel, stepAt + startMs, durationMs, layer === undefined ? {} : { layer }),
  );
  const traceEvents = [
    name("process_name", 0, `Ziggurat, ${trace.model.name}`),
    ...TRACKS.map((track, tid) => name("thread_name", tid, track)),
    ...phases,
    ...calls,
    ...step,
    ...counters(trace, micros),
  ];
  return JSON.stringify({ traceEvents, displayTimeUnit: "ms" });
}

/** One stacked counter of the ledger, and the full cache beside it. */
function counters(trace: RunTrace, micros: (ms: number) => number): ChromeEvent[] {
  const { times, bytes, full } = timelineOf(trace);
  const counter = (what: string, at: number, args: Record<string, number>): ChromeEvent => ({
    ph: "C",
    name: what,
    pid: PID,
    tid: 0,
    ts: micros(at),
    args,
  });
  return times.flatMap((at, i) => {
    // Of the changes at one moment only the last one can be seen.
    if (indexAt(times, at) !== i) return [];
    const stacked = CATEGORIES.map((category) => [
      CATEGORY_NAMES[category],
      bytes[category][i] as number,
    ]);
    return [
      counter("GPU memory (bytes)", at, Object.fromEntries(stacked) as Record<string, number>),
      counter("full KV cache (bytes)", at, { full: full[i] as number }),
    ];
  });
}
