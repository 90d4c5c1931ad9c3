import { describe, expect, test } from "vitest";
import { createKernel } from "../../src/gpu/kernel.ts";
import { Recorder } from "../../src/gpu/recorder.ts";
import { expectClose, openTestDevice, seededRandom } from "../gpu.ts";
import { logprobs } from "../reference/logprobs.ts";
import { readFloats, storageBuffer } from "./buffers.ts";

const gpu = await openTestDevice();
const kernel = await createKernel(gpu.device, { name: "logprobs" });

async function run(logits: Float32Array<ArrayBuffer>, vocabSize: number, targets: number[]) {
  const firstRow = 2;
  const buffers = {
    logits: storageBuffer(gpu, logits),
    targets: storageBuffer(gpu, Uint32Array.of(0, 0, ...targets)),
    logprobs: storageBuffer(gpu, new Float32Array(firstRow + targets.length + 1).fill(7)),
  };
  const recorder = new Recorder(gpu.device, gpu.buffers, 1, "logprobs test");
  const params = { vocab_size: vocabSize, first_row: firstRow };
  recorder.run(kernel, buffers, params, [targets.length, 1, 1]);
  recorder.submit();
  const out = await readFloats(gpu, buffers.logprobs);
  recorder.destroy();
  for (const buffer of Object.values(buffers)) gpu.buffers.destroy(buffer);
  expect([out[0], out[1], out.at(-1)]).toEqual([7, 7, 7]);
  return [...out.subarray(firstRow, -1)];
}

describe("logprobs", () => {
  test.each([
    [1, 1],
    [2, 3],
    [255, 2],
    [1023, 3],
    [1025, 3],
    [49152, 4],
    [151936, 2],
  ])("vocabulary of %i, %i rows, within 1e-6", async (vocabSize, rows) => {
    const random = seededRandom(vocabSize);
    for (const scale of [0.5, 3, 8]) {
      const logits = random.normals(rows * vocabSize, scale);
      const targets = [...random.integers(rows, vocabSize)];
      const expected = logprobs(logits, vocabSize, targets);
      expectClose(await run(logits, vocabSize, targets), expected, { atol: 0, rtol: 1e-6 });
    }
  });

  test("a token that is nearly certain keeps its relative precision", async () => {
    const vocabSize = 49152;
    const random = seededRandom(1);
    for (const lead of [5, 15, 25, 60]) {
      const logits = random.normals(vocabSize, 2);
      logits[777] = lead;
      const expected = logprobs(logits, vocabSize, [777]);
      expectClose(await run(logits, vocabSize, [777]), expected, { atol: 1e-37, rtol: 4e-6 });
    }
  });

  test("ties for the best, equal logits and masked ones", async () => {
    const tied = Float32Array.of(2, 1, 2, -3e38, 2);
    expectClose(await run(tied, 5, [0]), logprobs(tied, 5, [0]), { atol: 0, rtol: 1e-6 });
    expectClose(await run(tied, 5, [4]), logprobs(tied, 5, [4]), { atol: 0, rtol: 1e-6 });
    expectClose(await run(tied, 5, [3]), logprobs(tied, 5, [3]), { atol: 0, rtol: 1e-6 });
    const flat = new Float32Array(49152).fill(-7);
    expectClose(await run(flat, 49152, [5]), [-Math.log(49152)], { atol: 0, rtol: 1e-6 });
  });

  test("a row with NaN or +inf, or all -inf, gives NaN and leaves the others alone", async () => {
    const logits = seededRandom(2).normals(4 * 500);
    logits[20] = NaN;
    logits[500 + 499] = Infinity;
    logits.fill(-Infinity, 1000, 1500);
    const targets = [20, 3, 4, 5];
    const out = await run(logits, 500, targets);
    const expected = logprobs(logits, 500, targets);
    expect(expected.map(Number.isNaN)).toEqual([true, true, true, false]);
    expectClose(out, expected, { atol: 0, rtol: 1e-6 });
  });
});
