import type { GpuContext } from "../gpu/device.ts";

/** What rows and reading them back need of a GPU. */
export type RowsGpu = Pick<GpuContext, "device" | "buffers" | "allocating" | "settled">;

/** A range of a buffer; both ends multiples of 4 bytes. */
export interface ReadRange {
  readonly buffer: GPUBuffer;
  readonly offset?: number;
  readonly bytes: number;
}

/** Copy ranges of buffers to host memory, in order, through one staging buffer. @throws GpuOutOfMemoryError */
export async function readBack(
  gpu: RowsGpu,
  ranges: readonly ReadRange[],
): Promise<Uint8Array<ArrayBuffer>[]> {
  const total = ranges.reduce((sum, { bytes }) => sum + bytes, 0);
  if (total === 0) return ranges.map(() => new Uint8Array());
  const staging = await gpu.allocating("cache read-back", total, () =>
    gpu.buffers.create({
      label: "cache read-back",
      purpose: "staging",
      bytes: total,
      usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
    }),
  );
  try {
    const encoder = gpu.device.createCommandEncoder();
    let at = 0;
    for (const { buffer, offset = 0, bytes } of ranges) {
      encoder.copyBufferToBuffer(buffer, offset, staging, at, bytes);
      at += bytes;
    }
    gpu.device.queue.submit([encoder.finish()]);
    await gpu.settled(staging.mapAsync(GPUMapMode.READ));
    const all = new Uint8Array(staging.getMappedRange()).slice();
    let start = 0;
    return ranges.map(({ bytes }) => all.subarray(start, (start += bytes)));
  } finally {
    gpu.buffers.destroy(staging);
  }
}

/** Bytes as 32-bit words, in memory of their own: views need their alignment. */
export function asWords<T>(
  bytes: Uint8Array<ArrayBuffer>,
  view: new (buffer: ArrayBuffer) => T,
): T {
  return new view(bytes.slice().buffer);
}
