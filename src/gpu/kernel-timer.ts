import type { BufferAllocator } from "./buffers.ts";

/** GPU time of one dispatch; `startNs` counts from an arbitrary moment. */
export interface TimedDispatch {
  readonly kernel: string;
  readonly layer: number | undefined;
  readonly startNs: number;
  readonly durationNs: number;
}

/** A dispatch that is timed: what its kernel is, and the layer that it belongs to. */
export type DispatchName = Pick<TimedDispatch, "kernel" | "layer">;

/** One submit whose dispatches are timed, each in a compute pass of its own. */
export interface TimedSubmit {
  /** What the pass of dispatch `index` needs. */
  pass(index: number): GPUComputePassDescriptor;
  /** After the last pass, in the same encoder. */
  resolve(encoder: GPUCommandEncoder): void;
  /** After the submit: the times come when the GPU is done; nobody waits for them. */
  read(dispatches: readonly DispatchName[]): void;
}

/** WebGPU's most queries of a set; two for each dispatch. */
const MAX_DISPATCHES = 2048;
const BYTES = MAX_DISPATCHES * 2 * 8;

/** Submits that may be timed at once; others go untimed meanwhile. */
const SLOTS = 3;

interface Slot {
  readonly queries: GPUQuerySet;
  readonly staging: GPUBuffer;
}

/** Times dispatches by timestamp queries (feature `timestamp-query`). */
export class KernelTimer {
  readonly #buffers: BufferAllocator;
  readonly #resolved: GPUBuffer;
  readonly #all: readonly Slot[];
  readonly #free: Slot[];
  readonly #onTimes: (kind: string, times: readonly TimedDispatch[]) => void;
  readonly #onSkipped: () => void;

  constructor(
    buffers: BufferAllocator,
    onTimes: (kind: string, times: readonly TimedDispatch[]) => void,
    onSkipped: () => void,
  ) {
    const { COPY_DST, COPY_SRC, MAP_READ, QUERY_RESOLVE } = GPUBufferUsage;
    const create = (label: string, usage: number): GPUBuffer =>
      buffers.create({ label, purpose: "staging", bytes: BYTES, usage });
    this.#buffers = buffers;
    this.#onTimes = onTimes;
    this.#onSkipped = onSkipped;
    this.#resolved = create("kernel timestamps", QUERY_RESOLVE | COPY_SRC);
    this.#all = Array.from({ length: SLOTS }, (_, i) => ({
      queries: buffers.createQuerySet({
        label: `kernel timestamp queries ${i}`,
        purpose: "staging",
        count: MAX_DISPATCHES * 2,
      }),
      staging: create(`kernel timestamps read-back ${i}`, MAP_READ | COPY_DST),
    }));
    this.#free = [...this.#all];
  }

  /** Time a submit of `count` dispatches; undefined where it goes untimed. */
  begin(kind: string, count: number): TimedSubmit | undefined {
    if (count === 0) return undefined;
    const slot = count > MAX_DISPATCHES ? undefined : this.#free.pop();
    if (slot === undefined) {
      this.#onSkipped();
      return undefined;
    }
    const { queries, staging } = slot;
    return {
      pass: (index) => ({
        timestampWrites: {
          querySet: queries,
          beginningOfPassWriteIndex: 2 * index,
          endOfPassWriteIndex: 2 * index + 1,
        },
      }),
      resolve: (encoder) => {
        encoder.resolveQuerySet(queries, 0, 2 * count, this.#resolved, 0);
        encoder.copyBufferToBuffer(this.#resolved, 0, staging, 0, 16 * count);
      },
      read: (dispatches) => void this.#read(slot, kind, dispatches),
    };
  }

  destroy(): void {
    for (const { queries, staging } of this.#all) {
      this.#buffers.destroy(queries);
      this.#buffers.destroy(staging);
    }
    this.#buffers.destroy(this.#resolved);
  }

  async #read(slot: Slot, kind: string, dispatches: readonly DispatchName[]): Promise<void> {
    const { staging } = slot;
    try {
      await staging.mapAsync(GPUMapMode.READ, 0, 16 * dispatches.length);
    } catch {
      return; // the device is gone, which whoever waits for results hears of
    }
    const stamps = new BigUint64Array(staging.getMappedRange(0, 16 * dispatches.length).slice(0));
    staging.unmap();
    this.#free.push(slot);
    const origin = stamps[0] ?? 0n;
    const times = dispatches.map(({ kernel, layer }, i) => {
      const [start, end] = [stamps[2 * i] as bigint, stamps[2 * i + 1] as bigint];
      // Some drivers give a pass no times, or times that run backwards.
      const durationNs = Math.max(Number(end - start), 0);
      return { kernel, layer, startNs: Math.max(Number(start - origin), 0), durationNs };
    });
    this.#onTimes(kind, times);
  }
}
