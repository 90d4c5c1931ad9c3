import { eventTime, type RunTrace, type TraceBuffer } from "../../src/profile.ts";

/**
 * The buffers that are live at a moment which is moved to and fro: a step costs what lies between the
 * two moments, not the whole run.
 */
export class LedgerCursor {
  readonly #events: RunTrace["events"];
  readonly #live: Map<number, TraceBuffer>;
  /** Every buffer of the run, to bring back one that was freed. */
  readonly #all: Map<number, TraceBuffer>;
  /** Events before this one have happened. */
  #next = 0;

  constructor({ base, events }: RunTrace) {
    this.#events = events;
    this.#live = new Map(base.map((buffer) => [buffer.id, buffer]));
    this.#all = new Map(this.#live);
    for (const event of events) {
      if (event.type === "alloc") this.#all.set(event.buffer.id, event.buffer);
    }
  }

  /** The buffers that are live at `at`, in no certain order. */
  moveTo(at: number): readonly TraceBuffer[] {
    while (this.#next < this.#events.length && this.#timeOf(this.#next) <= at) {
      this.#apply(this.#next++, true);
    }
    while (this.#next > 0 && this.#timeOf(this.#next - 1) > at) this.#apply(--this.#next, false);
    return [...this.#live.values()];
  }

  #timeOf(index: number): number {
    return eventTime(this.#events[index] as RunTrace["events"][number]);
  }

  #apply(index: number, isForward: boolean): void {
    const event = this.#events[index] as RunTrace["events"][number];
    const id = event.type === "alloc" ? event.buffer.id : event.id;
    const buffer = this.#all.get(id);
    if ((event.type === "alloc") !== isForward) this.#live.delete(id);
    else if (buffer !== undefined) this.#live.set(id, buffer);
  }
}
