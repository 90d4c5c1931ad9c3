import type { GpuContext } from "./device.ts";
import type { Kernel, KernelSpec } from "./kernel.ts";
import { type BufferBinding, Recorder } from "./recorder.ts";

/** What an adapter can reach, measured: the yardstick for what a model's kernels reach. */
export interface Roofline {
  readonly readBytesPerSecond: number;
  /** f32 operations; a fused multiply-add counts as two. */
  readonly flopsPerSecond: number;
}

/** How `probe_read` goes through the data. */
export interface ReadPattern {
  /** Vectors of 16 bytes that a thread reads; a multiple of 8. */
  readonly vec4s: number;
  /** Whether these are neighbours. */
  readonly contiguous: boolean;
}

/** The fastest one counts: adapters differ in what they like. */
export const READ_PATTERNS: readonly ReadPattern[] = [
  { vec4s: 256, contiguous: true },
  { vec4s: 64, contiguous: false },
  { vec4s: 16, contiguous: false },
];

/** Threads of a workgroup of both kernels. */
export const WORKGROUP_SIZE = 64;

/** Numbers per thread, and steps in a round, of `probe_fma`. */
const FMA_NUMBERS = 12;
const FMA_STEPS = 64;
const FMA_ROUNDS = 32;

/** Parameters of `probe_fma`. */
export const FMA_PARAMS: Readonly<Record<"factor" | "addend", number>> = {
  factor: 1 - 2 ** -9,
  addend: 2 ** -5,
};

/** Measured spans are about this long, so that neither a submit nor a late wake-up counts. */
const SPAN_MS = 100;
const SPANS = 5;
const MAX_REPEATS = 4096;

/** More than any cache of a GPU or of a CPU's share of cores holds. */
const SOFTWARE_READ_BYTES = 64 * 2 ** 20;
const GPU_READ_BYTES = 256 * 2 ** 20;

const SOFTWARE_FMA_THREADS = 2 ** 12;
const GPU_FMA_THREADS = 2 ** 18;

/** Parameters of `probe_read`. */
export function readParams(
  { vec4s, contiguous }: ReadPattern,
  threads: number,
): Readonly<Record<string, number>> {
  return { threads, vec4s, contiguous: Number(contiguous) };
}

/** The kernel that reads. */
export const READ_KERNEL: KernelSpec = { name: "probe_read", constants: { WORKGROUP_SIZE } };

/** The kernel that multiplies and adds. */
export function fmaKernel(rounds: number): KernelSpec {
  return { name: "probe_fma", constants: { WORKGROUP_SIZE, ROUNDS: rounds } };
}

/**
 * Measure an adapter's read bandwidth and arithmetic; takes a few seconds. Everything that it
 * allocates is freed.
 * @throws GpuOutOfMemoryError, DeviceLostError
 */
export async function measureRoofline(gpu: GpuContext): Promise<Roofline> {
  const { isSoftware, limits } = gpu;
  const wanted = isSoftware ? SOFTWARE_READ_BYTES : GPU_READ_BYTES;
  const bytes = Math.min(wanted, 2 ** Math.floor(Math.log2(limits.maxStorageBufferBindingSize)));
  const threads = isSoftware ? SOFTWARE_FMA_THREADS : GPU_FMA_THREADS;
  return gpu.allocating("probe of the memory", bytes, async () => {
    const create = (label: string, size: number): GPUBuffer =>
      gpu.buffers.create({
        label: `probe ${label}`,
        purpose: "activations",
        bytes: size,
        usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST,
      });
    const data = create("data", bytes);
    const fewest = Math.min(...READ_PATTERNS.map(({ vec4s }) => vec4s));
    const results = create("results", Math.max(bytes / fewest / 4, threads * 4));
    const recorder = new Recorder(gpu.device, gpu.buffers, 1, "probe");
    try {
      fill(gpu, data);
      const seconds: number[] = [];
      const read = await gpu.kernels.get(READ_KERNEL);
      for (const pattern of READ_PATTERNS) {
        const count = bytes / 16 / pattern.vec4s;
        const sums = { buffer: results, offset: 0, size: count * 4 };
        seconds.push(
          await time(gpu, recorder, read, { data, sums }, readParams(pattern, count), count),
        );
      }
      const fma = await gpu.kernels.get(fmaKernel(FMA_ROUNDS));
      const out = { buffer: results, offset: 0, size: threads * 4 };
      const fmaSeconds = await time(gpu, recorder, fma, { out }, FMA_PARAMS, threads);
      const flops = threads * FMA_ROUNDS * FMA_STEPS * FMA_NUMBERS * 2;
      return {
        readBytesPerSecond: bytes / Math.min(...seconds),
        flopsPerSecond: flops / fmaSeconds,
      };
    } finally {
      recorder.destroy();
      for (const buffer of [data, results]) gpu.buffers.destroy(buffer);
    }
  });
}

/** Writes numbers, because memory that holds nothing may cost nothing. */
function fill(gpu: GpuContext, buffer: GPUBuffer): void {
  const words = new Uint32Array(2 ** 20);
  for (let i = 0; i < words.length; i++) words[i] = Math.imul(i + 1, 0x9e3779b1);
  for (let offset = 0; offset < buffer.size; offset += words.byteLength) {
    const count = Math.min(words.length, (buffer.size - offset) / 4);
    gpu.device.queue.writeBuffer(buffer, offset, words, 0, count);
  }
}

/** Seconds of one dispatch with `threads` threads: of the fastest span. */
async function time(
  gpu: GpuContext,
  recorder: Recorder,
  kernel: Kernel,
  buffers: Readonly<Record<string, BufferBinding>>,
  params: Readonly<Record<string, number>>,
  threads: number,
): Promise<number> {
  recorder.clear();
  recorder.run(kernel, buffers, params, [threads / WORKGROUP_SIZE, 1, 1]);
  recorder.upload();
  const span = async (repeats: number): Promise<number> => {
    const start = performance.now();
    recorder.replay(repeats);
    await gpu.idle();
    return (performance.now() - start) / 1000;
  };
  await span(1); // some drivers compile at the first dispatch
  let repeats = 1;
  let seconds = await span(1);
  while (seconds * 1000 < SPAN_MS / 2 && repeats < MAX_REPEATS) {
    const factor = SPAN_MS / 1000 / Math.max(seconds, 1e-5);
    repeats = Math.min(MAX_REPEATS, Math.ceil(repeats * Math.min(factor, 16)));
    seconds = await span(repeats);
  }
  let best = seconds;
  for (let i = 1; i < SPANS; i++) best = Math.min(best, await span(repeats));
  return best / repeats;
}
