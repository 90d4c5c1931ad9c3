import type { GpuContext } from "../../src/gpu/device.ts";

/** A storage buffer that holds `data`, and can be read back. */
export function storageBuffer(
  gpu: GpuContext,
  data: Float32Array<ArrayBuffer> | Uint32Array<ArrayBuffer>,
  label = "test data",
): GPUBuffer {
  const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC;
  const bytes = data.byteLength;
  const buffer = gpu.buffers.create({ label, purpose: "activations", bytes, usage });
  gpu.device.queue.writeBuffer(buffer, 0, data);
  return buffer;
}

/** All of a buffer, as f32. */
export async function readFloats(
  gpu: GpuContext,
  buffer: GPUBuffer,
): Promise<Float32Array<ArrayBuffer>> {
  return new Float32Array(await readBytes(gpu, buffer));
}

/** All of a buffer, as u32. */
export async function readWords(
  gpu: GpuContext,
  buffer: GPUBuffer,
): Promise<Uint32Array<ArrayBuffer>> {
  return new Uint32Array(await readBytes(gpu, buffer));
}

async function readBytes(gpu: GpuContext, buffer: GPUBuffer): Promise<ArrayBuffer> {
  const usage = GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST;
  const staging = gpu.buffers.create({
    label: "test read-back",
    purpose: "staging",
    bytes: buffer.size,
    usage,
  });
  const encoder = gpu.device.createCommandEncoder();
  encoder.copyBufferToBuffer(buffer, 0, staging, 0, buffer.size);
  gpu.device.queue.submit([encoder.finish()]);
  await staging.mapAsync(GPUMapMode.READ);
  const bytes = staging.getMappedRange().slice(0);
  gpu.buffers.destroy(staging);
  return bytes;
}
