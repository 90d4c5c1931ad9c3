import type { GpuContext } from "../gpu/device.ts";

/** Slots of the GPU's token ring: more than all steps that are ever in flight. */
export const TOKEN_RING_SLOTS = 64;

/** Groups of steps submitted and not yet read: hides the read-back, bounds the overshoot. */
const GROUPS_IN_FLIGHT = 3;

const MAX_GROUP_STEPS = 16;

/** A group takes about this long: often enough to look fluent, rarely enough to cost nothing. */
const GROUP_MS = 40;

/** What the loop drives: the recorded decode step and the room that it has. */
export interface DecodeSteps {
  /** `array<u32>` of `TOKEN_RING_SLOTS`: the token of step `s` at `s % TOKEN_RING_SLOTS`. */
  readonly ring: GPUBuffer;
  /** Steps that may be submitted before `makeRoom` is needed. */
  room(): number;
  /** Called with nothing in flight: make the cache larger, or compress it. */
  makeRoom(): Promise<void>;
  /** Submit `count` decode steps, then let `after` add the copy of the ring. */
  submit(count: number, after: (encoder: GPUCommandEncoder) => void): void;
}

interface Group {
  readonly firstStep: number;
  readonly count: number;
  readonly staging: GPUBuffer;
  readonly mapped: Promise<void>;
}

/**
 * Runs decode steps ahead of what the host has read: the GPU samples and feeds itself, and the
 * host reads the tokens of a few steps at a time, a few groups late, without ever stalling it.
 */
export class DecodeLoop {
  readonly #gpu: GpuContext;
  readonly #free: GPUBuffer[];
  readonly #all: readonly GPUBuffer[];

  constructor(gpu: GpuContext) {
    this.#gpu = gpu;
    this.#all = Array.from({ length: GROUPS_IN_FLIGHT + 1 }, (_, i) =>
      gpu.buffers.create({
        label: `token read-back ${i}`,
        purpose: "staging",
        bytes: TOKEN_RING_SLOTS * 4,
        usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
      }),
    );
    this.#free = [...this.#all];
  }

  /**
   * Sampled tokens, a group at a time, for at most `maxSteps` steps. Step 0, which samples from the
   * prompt's last row, is submitted already. Sentinels come through as they are in the ring. When
   * the consumer stops early, everything in flight is drained before this returns.
   */
  async *run(steps: DecodeSteps, maxSteps: number): AsyncGenerator<Uint32Array> {
    const flight: Group[] = [];
    let submitted = 0;
    let groupSteps = 1;
    let lastRead = performance.now();
    const launch = (count: number, submit: DecodeSteps["submit"]): void => {
      const staging = this.#free.pop();
      if (staging === undefined) throw new Error("no free read-back buffer");
      submit(count, (encoder) => {
        encoder.copyBufferToBuffer(steps.ring, 0, staging, 0, staging.size);
      });
      const mapped = staging.mapAsync(GPUMapMode.READ);
      mapped.catch(() => {}); // awaited below, maybe after another group failed
      flight.push({ firstStep: submitted, count, staging, mapped });
      submitted += count;
    };
    try {
      launch(1, (_count, after) => this.#submitCopy(after));
      while (flight.length > 0 || submitted < maxSteps) {
        while (flight.length < GROUPS_IN_FLIGHT && submitted < maxSteps) {
          if (steps.room() === 0 && flight.length > 0) break;
          if (steps.room() === 0) await steps.makeRoom();
          launch(Math.min(groupSteps, maxSteps - submitted, steps.room()), steps.submit);
        }
        const group = flight.shift() as Group;
        const tokens = await this.#read(group);
        const now = performance.now();
        const wanted = Math.round(GROUP_MS / Math.max((now - lastRead) / group.count, 0.1));
        groupSteps = Math.min(Math.max(wanted, 1), MAX_GROUP_STEPS, 2 * groupSteps);
        lastRead = now;
        yield tokens;
      }
    } finally {
      for (const group of flight) await this.#read(group);
    }
  }

  destroy(): void {
    for (const buffer of this.#all) this.#gpu.buffers.destroy(buffer);
  }

  #submitCopy(copy: (encoder: GPUCommandEncoder) => void): void {
    const encoder = this.#gpu.device.createCommandEncoder();
    copy(encoder);
    this.#gpu.device.queue.submit([encoder.finish()]);
  }

  async #read({ firstStep, count, staging, mapped }: Group): Promise<Uint32Array> {
    await this.#gpu.settled(mapped);
    const ring = new Uint32Array(staging.getMappedRange());
    const tokens = Uint32Array.from(
      { length: count },
      (_, i) => ring[(firstStep + i) % TOKEN_RING_SLOTS] as number,
    );
    staging.unmap();
    this.#free.push(staging);
    return tokens;
  }
}
