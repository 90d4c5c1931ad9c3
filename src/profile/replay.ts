import { entryAt } from "./entry-at.ts";
import {
  CATEGORIES,
  type CacheSample,
  type Category,
  categoryOf,
  type RunTrace,
  type TraceBuffer,
  type TraceHead,
  type TraceLayer,
} from "./trace.ts";

/** Bytes over time: entry `i` of every list holds from `times[i]` to `times[i + 1]`. */
export interface Timeline {
  readonly times: readonly number[];
  readonly bytes: Readonly<Record<Category, readonly number[]>>;
  readonly total: readonly number[];
  /** KV bytes that policy `full` would have allocated. */
  readonly full: readonly number[];
}

/** Bytes of every category after each change of the ledger, in one pass over the events. */
export function timelineOf(trace: RunTrace): Timeline {
  const live = new Map(trace.base.map((buffer) => [buffer.id, buffer]));
  const now = Object.fromEntries(CATEGORIES.map((name) => [name, 0])) as Record<Category, number>;
  const times: number[] = [];
  const bytes = Object.fromEntries(CATEGORIES.map((name) => [name, []])) as unknown as Record<
    Category,
    number[]
  >;
  const total: number[] = [];
  const full: number[] = [];
  let sum = 0;
  let nextSample = 0;
  let fullBytes = 0;
  const add = (buffer: TraceBuffer, sign: 1 | -1): void => {
    now[categoryOf(buffer)] += sign * buffer.bytes;
    sum += sign * buffer.bytes;
  };
  const push = (at: number): void => {
    times.push(at);
    for (const name of CATEGORIES) bytes[name].push(now[name]);
    total.push(sum);
    full.push(fullBytes);
  };
  for (const buffer of live.values()) add(buffer, 1);
  push(trace.events[0] === undefined ? 0 : Math.min(eventTime(trace.events[0]), 0));
  const { samples } = trace;
  const samplesUntil = (at: number): void => {
    for (; nextSample < samples.length; nextSample++) {
      const sample = samples[nextSample] as CacheSample;
      if (sample.at > at) return;
      if (sample.fullBytes === fullBytes) continue;
      fullBytes = sample.fullBytes;
      push(sample.at);
    }
  };
  for (const event of trace.events) {
    const at = eventTime(event);
    samplesUntil(at);
    if (event.type === "alloc") {
      live.set(event.buffer.id, event.buffer);
      add(event.buffer, 1);
    } else {
      const buffer = live.get(event.id);
      if (buffer === undefined) continue;
      live.delete(event.id);
      add(buffer, -1);
    }
    push(at);
  }
  samplesUntil(Infinity);
  if (trace.end > (times.at(-1) ?? 0)) push(trace.end);
  return { times, bytes, total, full };
}

/** Index of the entry that holds at a moment: the last one whose time is not later; 0 before all. */
export function indexAt(times: readonly number[], at: number): number {
  return Math.max(entryAt(times, at), 0);
}

/** The buffers that were live at a moment, in order of creation. */
export function buffersAt(trace: RunTrace, at: number): TraceBuffer[] {
  const live = new Map(trace.base.map((buffer) => [buffer.id, buffer]));
  for (const event of trace.events) {
    if (eventTime(event) > at) break;
    if (event.type === "alloc") live.set(event.buffer.id, event.buffer);
    else live.delete(event.id);
  }
  return [...live.values()];
}

/** The cache's layers at a moment, and the tokens that a full cache would hold then. */
export interface LayersAt {
  readonly tokens: number;
  readonly fullBytes: number;
  readonly layers: readonly TraceLayer[];
}

/** The last sample before a moment; rows that were appended since are counted in. */
export function layersAt(trace: RunTrace, at: number): LayersAt {
  let layered: CacheSample | undefined;
  let latest: CacheSample | undefined;
  for (const sample of trace.samples) {
    if (sample.at > at) break;
    latest = sample;
    if (sample.layers !== undefined) layered = sample;
  }
  if (latest === undefined || layered?.layers === undefined) {
    return { tokens: 0, fullBytes: 0, layers: [] };
  }
  const added = Math.max(latest.tokens - layered.tokens, 0);
  const grown = <T extends TraceHead>(rows: T): T => ({
    ...rows,
    length: Math.min(rows.length + added, rows.capacity),
  });
  const layers = layered.layers.map((layer) =>
    layer.heads === undefined
      ? grown(layer)
      : { ...grown(layer), heads: layer.heads.map((head) => grown(head)) },
  );
  return { tokens: latest.tokens, fullBytes: latest.fullBytes, layers };
}

/** For each token, how many (layer, KV head) pairs keep it. */
export function keptCounts(kept: RunTrace["kept"], tokens: number): number[] {
  const counts = Array<number>(tokens).fill(0);
  for (const position of (kept ?? []).flat(2)) {
    if (position < tokens) counts[position] = (counts[position] as number) + 1;
  }
  return counts;
}

/** When a change of the ledger happened. */
export function eventTime(event: RunTrace["events"][number]): number {
  return event.type === "alloc" ? event.buffer.at : event.at;
}
