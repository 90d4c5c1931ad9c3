import { GpuOutOfMemoryError } from "../errors.ts";
import type { GpuContext } from "./device.ts";

/** Beside what a plan counts: read-backs, alignment. */
export const MARGIN = 1.05;

/** Whether so many bytes can be had now: they are allocated and freed again. */
export async function canAllocate(gpu: GpuContext, bytes: number): Promise<boolean> {
  const { buffers, limits } = gpu;
  try {
    const made = await gpu.allocating("a trial", bytes, () => {
      const trial: GPUBuffer[] = [];
      for (let left = bytes; left > 0; left -= limits.maxBufferSize) {
        const size = Math.min(left, limits.maxBufferSize);
        const usage = GPUBufferUsage.COPY_DST;
        trial.push(buffers.create({ label: "a trial", purpose: "staging", bytes: size, usage }));
      }
      return trial;
    });
    for (const buffer of made) buffers.destroy(buffer);
    return true;
  } catch (error) {
    if (error instanceof GpuOutOfMemoryError) return false;
    throw error;
  }
}

/** Bytes that can be had now of `bytes`, which can't, to within a 32nd of those. */
export async function availableOf(gpu: GpuContext, bytes: number): Promise<number> {
  let available = 0;
  for (let step = bytes / 2; step >= bytes / 32; step /= 2) {
    if (await canAllocate(gpu, Math.ceil(available + step))) available += step;
  }
  return Math.floor(available);
}
