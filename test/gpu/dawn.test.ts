import { expect, test } from "vitest";
import { openTestDevice } from "../gpu.ts";

const SLOW_WGSL = /* wgsl */ `
@group(0) @binding(0) var<storage, read_write> sums: array<f32>;
@compute @workgroup_size(32)
fn main(@builtin(global_invocation_id) global_id: vec3<u32>) {
    var sum = 0.0;
    for (var i = 0u; i < 4000u; i += 1u) {
        sum = sum * 0.5 + f32(global_id.x);
    }
    sums[global_id.x] = sum;
}`;

test("waiting for the GPU leaves the event loop alive", async () => {
  const { device, buffers } = await openTestDevice();
  const sums = buffers.create({
    label: "sums",
    purpose: "activations",
    bytes: 4096 * 4,
    usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC,
  });
  const staging = buffers.create({
    label: "sums on the CPU",
    purpose: "staging",
    bytes: 4096 * 4,
    usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
  });
  const module = device.createShaderModule({ code: SLOW_WGSL });
  const pipeline = await device.createComputePipelineAsync({ layout: "auto", compute: { module } });
  const group = device.createBindGroup({
    layout: pipeline.getBindGroupLayout(0),
    entries: [{ binding: 0, resource: { buffer: sums } }],
  });

  let ticks = 0;
  const timer = setInterval(() => ticks++, 1);
  try {
    const done: string[] = [];
    const waits = [];
    for (let step = 0; step < 20; step++) {
      const encoder = device.createCommandEncoder();
      const pass = encoder.beginComputePass();
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, group);
      pass.dispatchWorkgroups(128);
      pass.end();
      device.queue.submit([encoder.finish()]);
      waits.push(device.queue.onSubmittedWorkDone().then(() => done.push(`step ${step}`)));
    }
    const encoder = device.createCommandEncoder();
    encoder.copyBufferToBuffer(sums, 0, staging, 0, staging.size);
    device.queue.submit([encoder.finish()]);
    await staging.mapAsync(GPUMapMode.READ);
    await Promise.all(waits);

    expect(done).toEqual(Array.from({ length: 20 }, (_, step) => `step ${step}`));
    const values = new Float32Array(staging.getMappedRange());
    expect(values[1]).toBeCloseTo(2, 5);
    expect(values[4095]).toBeCloseTo(8190, 1);
    // A timer of 1 ms ran between the polls, so the wait didn't block the thread for good.
    expect(ticks).toBeGreaterThan(0);
  } finally {
    clearInterval(timer);
  }
});

test("a wait that fails is passed on, and the next one still works", async () => {
  const { device, buffers } = await openTestDevice();
  const buffer = buffers.create({
    label: "mapped twice",
    purpose: "staging",
    bytes: 256,
    usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
  });
  const first = buffer.mapAsync(GPUMapMode.READ);
  await expect(buffer.mapAsync(GPUMapMode.READ)).rejects.toBeDefined();
  await first;
  buffer.unmap();
  await device.queue.onSubmittedWorkDone();
});
