import { expect, test } from "vitest";
import { TEXTS } from "../../src/gpu/shaders/sampling.ts";
import { randomUnit } from "../../src/sampling/rng.ts";
import { openTestDevice, seededRandom } from "../gpu.ts";
import { readFloats, storageBuffer } from "./buffers.ts";

const MAIN = /* wgsl */ `
@group(0) @binding(0) var<storage, read> inputs: array<vec2<u32>>; // seed, step
@group(0) @binding(1) var<storage, read_write> units: array<f32>;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) global_id: vec3<u32>) {
    let input = inputs[global_id.x];
    units[global_id.x] = random_unit(input.x, input.y);
}`;

test("random_unit equals randomUnit in every bit", async () => {
  const COUNT = 4096;
  const gpu = await openTestDevice();
  const pairs = seededRandom(1).integers(2 * COUNT, 2 ** 32);
  pairs.set([0, 0, 0, 1, 1, 0, 0xffffffff, 0xffffffff]);
  const inputs = storageBuffer(gpu, pairs);
  const units = storageBuffer(gpu, new Float32Array(COUNT));
  const module = gpu.device.createShaderModule({ code: `${TEXTS.shared["random"]}${MAIN}` });
  const pipeline = await gpu.device.createComputePipelineAsync({
    layout: "auto",
    compute: { module },
  });
  const group = gpu.device.createBindGroup({
    layout: pipeline.getBindGroupLayout(0),
    entries: [inputs, units].map((buffer, binding) => ({ binding, resource: { buffer } })),
  });
  const encoder = gpu.device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  pass.setBindGroup(0, group);
  pass.dispatchWorkgroups(COUNT / 64);
  pass.end();
  gpu.device.queue.submit([encoder.finish()]);
  const expected = Array.from({ length: COUNT }, (_, i) =>
    randomUnit(pairs[2 * i], pairs[2 * i + 1]),
  );
  expect([...(await readFloats(gpu, units))]).toEqual(expected);
});
