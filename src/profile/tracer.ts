import type { LedgerEntry } from "../gpu/buffers.ts";
import type { TimedDispatch } from "../gpu/kernel-timer.ts";
import { KernelStats } from "./kernel-stats.ts";
import type {
  CacheSample,
  PhaseName,
  RunTrace,
  TraceBuffer,
  TraceCall,
  TraceEvent,
  TracePhase,
} from "./trace.ts";

/** What only the engine knows. */
export type TraceFacts = Pick<RunTrace, "model" | "adapter" | "cache" | "tokens" | "kept">;

/**
 * Notes what happens to the ledger and to the cache, and when. The oldest events make room for new
 * ones; their effect stays, so that the bytes of every moment that is left are exact.
 */
export class Tracer {
  readonly kernels: KernelStats = new KernelStats();
  readonly #maxEvents: number;
  readonly #origin = performance.now();
  readonly #createdAt = new Date().toISOString();
  readonly #base = new Map<number, TraceBuffer>();
  /** A ring: the oldest event is at `#first`. */
  readonly #events: TraceEvent[] = [];
  #first = 0;
  #dropped = 0;
  readonly #phases: TracePhase[] = [];
  #phase: Omit<TracePhase, "end"> | undefined;
  readonly #samples: CacheSample[] = [];
  readonly #calls: TraceCall[] = [];

  constructor(maxEvents: number) {
    this.#maxEvents = maxEvents;
  }

  /** Ms since the trace began, to a thousandth: what clocks of browsers offer at best. */
  now(at: number = performance.now()): number {
    return Math.round((at - this.#origin) * 1000) / 1000;
  }

  created({ id, label, purpose, bytes, layer }: LedgerEntry, usage: number): void {
    const buffer = { id, label, purpose, bytes, usage, at: this.now() };
    this.#note({ type: "alloc", buffer: layer === undefined ? buffer : { ...buffer, layer } });
  }

  destroyed(id: number): void {
    this.#note({ type: "free", id, at: this.now() });
  }

  /** Something begins, and what went on before ends. */
  enter(name: PhaseName, layer?: number): void {
    if (this.#phase?.name === name && this.#phase.layer === layer) return;
    this.leave();
    this.#phase = { name, start: this.now(), ...(layer === undefined ? {} : { layer }) };
  }

  /** What went on ends. */
  leave(): void {
    if (this.#phase === undefined) return;
    this.#phases.push({ ...this.#phase, end: this.now() });
    if (this.#phases.length > this.#maxEvents) this.#phases.shift();
    this.#phase = undefined;
  }

  sample(sample: Omit<CacheSample, "at">): void {
    this.#samples.push({ ...sample, at: this.now() });
    if (this.#samples.length > this.#maxEvents) this.#samples.shift();
  }

  call(call: TraceCall): void {
    this.#calls.push(call);
  }

  timed(kind: "prefill" | "decode", dispatches: readonly TimedDispatch[]): void {
    this.kernels.add(kind, dispatches);
  }

  /** Everything so far. */
  take(facts: TraceFacts): RunTrace {
    const end = this.now();
    const phase = this.#phase === undefined ? [] : [{ ...this.#phase, end }];
    return {
      schema: "ziggurat-trace/1",
      createdAt: this.#createdAt,
      ...facts,
      end,
      base: [...this.#base.values()],
      events: [...this.#events.slice(this.#first), ...this.#events.slice(0, this.#first)],
      droppedEvents: this.#dropped,
      phases: [...this.#phases, ...phase],
      samples: [...this.#samples],
      calls: [...this.#calls],
      kernels: this.kernels.report(),
    };
  }

  #note(event: TraceEvent): void {
    if (this.#events.length < this.#maxEvents) {
      this.#events.push(event);
      return;
    }
    const oldest = this.#events[this.#first] as TraceEvent;
    if (oldest.type === "alloc") this.#base.set(oldest.buffer.id, oldest.buffer);
    else this.#base.delete(oldest.id);
    this.#events[this.#first] = event;
    this.#first = (this.#first + 1) % this.#maxEvents;
    this.#dropped++;
  }
}
