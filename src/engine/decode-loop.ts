import type { GpuContext } from "../gpu/device.ts";
import { LOGPROB_WORDS } from "./token-logprobs.ts";

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
  /** `u32[TOKEN_RING_SLOTS][LOGPROB_WORDS]`, read along with the tokens where there is one. */
  readonly logprobs: GPUBuffer | undefined;
  /** Steps that may be submitted before `makeRoom` is needed. */
  room(): number;
  /** Called with nothing in flight: make the cache larger, or compress it. */
  makeRoom(): Promise<void>;
  /** Submit `count` decode steps, then let `after` add the copy of the ring. */
  submit(count: number, after: (encoder: GPUCommandEncoder) => void): void;
}

/** What a read-back brought of some steps. */
export interface StepGroup {
  readonly tokens: Uint32Array;
  /** `LOGPROB_WORDS` for each token. */
  readonly logprobs: Uint32Array<ArrayBuffer> | undefined;
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
  #staging: readonly GPUBuffer[];
  readonly #free: GPUBuffer[];

  constructor(gpu: GpuContext) {
    this.#gpu = gpu;
    this.#staging = this.#createStaging(TOKEN_RING_SLOTS * 4);
    this.#free = [...this.#staging];
  }

  /**
   * Sampled tokens, a group at a time, of the steps from `firstStep` up to `maxSteps`. The first one, which
   * samples from the last row that was prefilled, is submitted already. Sentinels come through as
   * they are in the ring. When the consumer stops early, everything in flight is drained before this
   * returns.
   */
  async *run(
    steps: DecodeSteps,
    maxSteps: number,
    firstStep: number = 0,
  ): AsyncGenerator<StepGroup> {
    await this.#fit(TOKEN_RING_SLOTS * 4 + (steps.logprobs?.size ?? 0));
    const flight: Group[] = [];
    let submitted = firstStep;
    let groupSteps = 1;
    let lastRead = performance.now();
    const launch = (count: number, submit: DecodeSteps["submit"]): void => {
      const staging = this.#free.pop();
      if (staging === undefined) throw new Error("no free read-back buffer");
      submit(count, (encoder) => {
        const { ring, logprobs } = steps;
        encoder.copyBufferToBuffer(ring, 0, staging, 0, ring.size);
        if (logprobs === undefined) return;
        encoder.copyBufferToBuffer(logprobs, 0, staging, ring.size, logprobs.size);
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
        const read = await this.#read(group, steps.logprobs !== undefined);
        const now = performance.now();
        const wanted = Math.round(GROUP_MS / Math.max((now - lastRead) / group.count, 0.1));
        groupSteps = Math.min(Math.max(wanted, 1), MAX_GROUP_STEPS, 2 * groupSteps);
        lastRead = now;
        yield read;
      }
    } finally {
      for (const group of flight) await this.#read(group, false);
    }
  }

  destroy(): void {
    for (const buffer of this.#staging) this.#gpu.buffers.destroy(buffer);
  }

  #submitCopy(copy: (encoder: GPUCommandEncoder) => void): void {
    const encoder = this.#gpu.device.createCommandEncoder();
    copy(encoder);
    this.#gpu.device.queue.submit([encoder.finish()]);
  }

  /** Make the read-back buffers larger, if need be; none is in use. */
  async #fit(bytes: number): Promise<void> {
    const old = this.#staging;
    if ((old[0] as GPUBuffer).size >= bytes) return;
    this.#staging = await this.#gpu.allocating("token read-back", bytes * old.length, () =>
      this.#createStaging(bytes),
    );
    this.#free.splice(0, this.#free.length, ...this.#staging);
    for (const buffer of old) this.#gpu.buffers.destroy(buffer);
  }

  #createStaging(bytes: number): GPUBuffer[] {
    return Array.from({ length: GROUPS_IN_FLIGHT + 1 }, (_, i) =>
      this.#gpu.buffers.create({
        label: `token read-back ${i}`,
        purpose: "staging",
        bytes,
        usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
      }),
    );
  }

  async #read(group: Group, withLogprobs: boolean): Promise<StepGroup> {
    const { firstStep, count, staging, mapped } = group;
    await this.#gpu.settled(mapped);
    const words = new Uint32Array(staging.getMappedRange());
    /** Rows of so many words each, in the order of the steps. */
    const rows = (first: number, width: number): Uint32Array<ArrayBuffer> => {
      const out = new Uint32Array(count * width);
      for (let i = 0; i < count; i++) {
        const at = first + ((firstStep + i) % TOKEN_RING_SLOTS) * width;
        out.set(words.subarray(at, at + width), i * width);
      }
      return out;
    };
    const tokens = rows(0, 1);
    const logprobs = withLogprobs ? rows(TOKEN_RING_SLOTS, LOGPROB_WORDS) : undefined;
    staging.unmap();
    this.#free.push(staging);
    return { tokens, logprobs };
  }
}
