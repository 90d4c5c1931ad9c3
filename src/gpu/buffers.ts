import { GpuOutOfMemoryError, InvalidOptionError } from "../errors.ts";

/** What a buffer is for; every byte on the GPU has exactly one purpose (design section 6). */
export type BufferPurpose = "weights" | "kv" | "activations" | "staging" | "uniforms";

export const BUFFER_PURPOSES: readonly BufferPurpose[] = [
  "weights",
  "kv",
  "activations",
  "staging",
  "uniforms",
];

/** What the ledger counts: buffers, and sets of timestamp queries. */
export type GpuMemory = GPUBuffer | GPUQuerySet;

/** One live GPU buffer or query set as the ledger knows it. */
export interface LedgerEntry {
  /** Unique in this allocator, ascending in order of creation. */
  readonly id: number;
  readonly label: string;
  readonly purpose: BufferPurpose;
  /** Allocated bytes (a multiple of 4). */
  readonly bytes: number;
  /** Layer that the buffer belongs to, where it belongs to one. */
  readonly layer?: number;
}

export interface BufferSpec {
  readonly label: string;
  readonly purpose: BufferPurpose;
  /** Bytes wanted; rounded up to a multiple of 4. */
  readonly bytes: number;
  readonly usage: GPUBufferUsageFlags;
  readonly layer?: number;
}

export interface QuerySetSpec {
  readonly label: string;
  readonly purpose: BufferPurpose;
  readonly count: number;
}

/** Bytes of a timestamp. */
const QUERY_BYTES = 8;

/** Who is told of every change of the ledger. */
export interface LedgerObserver {
  /** `usage` is 0 for a query set. */
  created(entry: LedgerEntry, usage: GPUBufferUsageFlags): void;
  destroyed(id: number): void;
}

/** Bytes by purpose and in all. */
export type ByteTotals = Readonly<Record<BufferPurpose | "total", number>>;

const zeroTotals = (): Record<BufferPurpose | "total", number> => ({
  weights: 0,
  kv: 0,
  activations: 0,
  staging: 0,
  uniforms: 0,
  total: 0,
});

/**
 * The only caller of `createBuffer` and `createQuerySet`: allocates, labels and counts everything on
 * the GPU, so that each memory figure anywhere is a view of this one ledger.
 */
export class BufferAllocator {
  observer: LedgerObserver | undefined;
  readonly #device: GPUDevice;
  readonly #entries = new Map<GpuMemory, LedgerEntry>();
  readonly #now = zeroTotals();
  readonly #peak = zeroTotals();
  readonly #onDestroy = new Set<(freed: GpuMemory) => void>();
  #nextId = 0;

  constructor(device: GPUDevice) {
    this.#device = device;
  }

  /**
   * Allocate a buffer.
   * @throws GpuOutOfMemoryError when it is larger than the device's limits for a buffer or, if
   * shaders are to see it, for a binding; a failure that the driver reports later surfaces through
   * the device's error scope.
   */
  create({ label, purpose, bytes, usage, layer }: BufferSpec): GPUBuffer {
    if (!Number.isSafeInteger(bytes) || bytes <= 0) {
      throw new InvalidOptionError(`bytes of buffer "${label}"`, bytes, "a positive integer");
    }
    const size = Math.ceil(bytes / 4) * 4;
    const { maxBufferSize, maxStorageBufferBindingSize } = this.#device.limits;
    const bound = (usage & GPUBufferUsage.STORAGE) !== 0;
    if (size > (bound ? Math.min(maxBufferSize, maxStorageBufferBindingSize) : maxBufferSize)) {
      throw new GpuOutOfMemoryError(label, size, this.#now.total);
    }
    const buffer = this.#device.createBuffer({ label, size, usage });
    const named = { id: this.#nextId++, label, purpose, bytes: size };
    this.#note(buffer, layer === undefined ? named : { ...named, layer }, usage);
    return buffer;
  }

  /** Allocate a set of timestamp queries. */
  createQuerySet({ label, purpose, count }: QuerySetSpec): GPUQuerySet {
    const queries = this.#device.createQuerySet({ label, type: "timestamp", count });
    this.#note(queries, { id: this.#nextId++, label, purpose, bytes: count * QUERY_BYTES }, 0);
    return queries;
  }

  /** Free a buffer or a query set; freeing it twice, or one that is not from here, is a bug. */
  destroy(memory: GpuMemory): void {
    const entry = this.#entries.get(memory);
    if (entry === undefined) throw new Error(`buffer "${memory.label}" is not in the ledger`);
    this.#entries.delete(memory);
    this.#add(entry.purpose, -entry.bytes);
    this.observer?.destroyed(entry.id);
    for (const listener of this.#onDestroy) listener(memory);
    memory.destroy();
  }

  /** Free everything that is left, or what is left of the buffers from number `first` to before `end`. */
  destroyAll(first = 0, end: number = Infinity): void {
    for (const [memory, { id }] of this.#entries) {
      if (id >= first && id < end) this.destroy(memory);
    }
  }

  /** The number that the next buffer will have. */
  get nextId(): number {
    return this.#nextId;
  }

  /** Call `listener` whenever something is freed; returns the way to stop. */
  onDestroy(listener: (freed: GpuMemory) => void): () => void {
    this.#onDestroy.add(listener);
    return () => this.#onDestroy.delete(listener);
  }

  /** The unique number of a live buffer. */
  id(buffer: GPUBuffer): number {
    const entry = this.#entries.get(buffer);
    if (entry === undefined) throw new Error(`buffer "${buffer.label}" is not in the ledger`);
    return entry.id;
  }

  /** What is live, in order of creation. */
  entries(): LedgerEntry[] {
    return [...this.#entries.values()];
  }

  /** Bytes allocated now. */
  get now(): ByteTotals {
    return { ...this.#now };
  }

  /** Most bytes allocated at one time since the start or the last `resetPeak`, each on its own. */
  get peak(): ByteTotals {
    return { ...this.#peak };
  }

  /** Start the peaks again from what is allocated now. */
  resetPeak(): void {
    Object.assign(this.#peak, this.#now);
  }

  #note(memory: GpuMemory, entry: LedgerEntry, usage: GPUBufferUsageFlags): void {
    this.#entries.set(memory, entry);
    this.observer?.created(entry, usage);
    this.#add(entry.purpose, entry.bytes);
  }

  #add(purpose: BufferPurpose, bytes: number): void {
    for (const key of [purpose, "total"] as const) {
      this.#now[key] += bytes;
      this.#peak[key] = Math.max(this.#peak[key], this.#now[key]);
    }
  }
}
