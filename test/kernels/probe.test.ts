import { describe, expect, test } from "vitest";
import {
  FMA_PARAMS,
  fmaKernel,
  measureRoofline,
  READ_PATTERNS,
  READ_KERNEL,
  readParams,
  type ReadPattern,
  WORKGROUP_SIZE,
} from "../../src/gpu/roofline.ts";
import { Recorder } from "../../src/gpu/recorder.ts";
import { adapterName, expectClose, openTestDevice, seededRandom } from "../gpu.ts";
import { probeFma } from "../reference/probe_fma.ts";
import { probeRead } from "../reference/probe_read.ts";
import { readFloats, readWords, storageBuffer } from "./buffers.ts";

const gpu = await openTestDevice();
const recorder = new Recorder(gpu.device, gpu.buffers, 1, "test");

const patterns: ReadPattern[] = [...READ_PATTERNS, { vec4s: 8, contiguous: true }];

describe.each(patterns)("probe_read $vec4s, contiguous: $contiguous", (pattern) => {
  test.each([1, 63, 64, 65, 1000])("%i threads", async (threads) => {
    const words = seededRandom(threads).integers(threads * pattern.vec4s * 4, 2 ** 32);
    const sums = storageBuffer(gpu, new Uint32Array(threads));
    const data = storageBuffer(gpu, words);
    const kernel = await gpu.kernels.get(READ_KERNEL);
    const workgroups = Math.ceil(threads / WORKGROUP_SIZE);
    recorder.run(kernel, { data, sums }, readParams(pattern, threads), [workgroups, 1, 1]);
    recorder.submit();
    expect(await readWords(gpu, sums)).toEqual(probeRead(words, threads, pattern));
  });
});

test.each([
  [1, 0],
  [63, 1],
  [65, 8],
  [300, 3],
])("probe_fma: %i threads, %i rounds", async (threads, rounds) => {
  const out = storageBuffer(gpu, new Float32Array(threads));
  const kernel = await gpu.kernels.get(fmaKernel(rounds));
  recorder.run(kernel, { out }, FMA_PARAMS, [Math.ceil(threads / WORKGROUP_SIZE), 1, 1]);
  recorder.submit();
  const expected = probeFma(threads, rounds, FMA_PARAMS);
  // One step more or less would change the sums by 1 / 512 of their distance from the fixed point, which is 16 each.
  expectClose(await readFloats(gpu, out), expected, { atol: 1e-3, rtol: 1e-5 });
});

test("measureRoofline gives rates that a machine can have, and frees what it took", async () => {
  const before = gpu.buffers.now;
  const { readBytesPerSecond, flopsPerSecond } = await measureRoofline(gpu);
  const [gigabytes, gigaflops] = [readBytesPerSecond / 1e9, flopsPerSecond / 1e9];
  console.log(
    `${adapterName}: reads ${gigabytes.toFixed(1)} GB/s, ${gigaflops.toFixed(0)} GFLOP/s`,
  );
  expect(gigabytes).toBeGreaterThan(0.05);
  expect(gigabytes).toBeLessThan(20_000);
  expect(gigaflops).toBeGreaterThan(1);
  expect(gigaflops).toBeLessThan(1e6);
  expect(gpu.buffers.now).toEqual(before);
});
