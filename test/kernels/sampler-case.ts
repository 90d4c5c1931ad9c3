import { Recorder } from "../../src/gpu/recorder.ts";
import type { GpuContext } from "../../src/gpu/device.ts";
import type { Sampler } from "../../src/engine/sampler.ts";
import type { ResolvedSampling } from "../../src/sampling/options.ts";
import { seenBitmap } from "../../src/sampling/seen.ts";
import type { StepState } from "../reference/finish_step.ts";
import { readWords, storageBuffer } from "./buffers.ts";

/** What a run of steps starts from; steps of one run share their logits. */
export interface SamplerRun {
  readonly vocabSize: number;
  readonly logits: Float32Array;
  readonly options: ResolvedSampling;
  readonly before: StepState;
  readonly stopIds?: readonly number[];
  readonly steps?: number;
  readonly advance?: boolean;
}

/** The state at the start of a generation. */
export function startState(ring: number, change: Partial<StepState> = {}): StepState {
  return {
    token: 3,
    position: 17,
    step: 0,
    done: false,
    seen: new Set<number>(),
    lengths: [5, 9, 2, 30, 0],
    tokens: Array.from({ length: ring }, () => 0),
    ...change,
  };
}

/** Sample on the GPU and read back everything that may have changed. */
export async function runSampler(
  gpu: GpuContext,
  sampler: Sampler,
  { vocabSize, logits, options, before, stopIds = [], steps = 1, advance = true }: SamplerRun,
): Promise<StepState> {
  // What lies behind the last logit must not matter.
  const padded = new Float32Array(Math.ceil(vocabSize / 4) * 4).fill(1e30);
  padded.set(logits);
  const stateWords = new Uint32Array(16);
  stateWords.set([before.token, before.position, before.step, Number(before.done)]);
  const table = new Uint32Array(before.lengths.flatMap((length, i) => [i * 64, length, 64, 0]));
  const buffers = {
    logits: storageBuffer(gpu, padded),
    state: storageBuffer(gpu, stateWords),
    table: storageBuffer(gpu, table),
    tokens: storageBuffer(gpu, Uint32Array.from(before.tokens)),
    stopIds: storageBuffer(gpu, Uint32Array.of(stopIds.length, ...stopIds)),
    seen: storageBuffer(gpu, seenBitmap(before.seen, vocabSize)),
  };
  await sampler.begin(options);
  const recorder = new Recorder(gpu.device, gpu.buffers, 12 * steps, "sampler test");
  for (let i = 0; i < steps; i++) {
    const tableCount = before.lengths.length;
    sampler.record(recorder, { ...buffers, tableCount, options, advance });
  }
  recorder.submit();
  const state = await readWords(gpu, buffers.state);
  const lengths = await readWords(gpu, buffers.table);
  const tokens = await readWords(gpu, buffers.tokens);
  const seen = await readWords(gpu, buffers.seen);
  recorder.destroy();
  for (const buffer of Object.values(buffers)) gpu.buffers.destroy(buffer);
  return {
    token: state[0],
    position: state[1],
    step: state[2],
    done: state[3] === 1,
    lengths: before.lengths.map((_, i) => lengths[4 * i + 1]),
    tokens: [...tokens],
    seen: new Set([...seen].flatMap((word, i) => setBits(word).map((bit) => 32 * i + bit))),
  };
}

function setBits(word: number): number[] {
  return Array.from({ length: 32 }, (_, bit) => bit).filter((bit) => (word >>> bit) & 1);
}
