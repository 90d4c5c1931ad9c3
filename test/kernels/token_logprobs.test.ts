import { describe, expect, test } from "vitest";
import { LOGPROB_WORDS, TokenLogprobs } from "../../src/engine/token-logprobs.ts";
import { Recorder } from "../../src/gpu/recorder.ts";
import { expectClose, openTestDevice, seededRandom } from "../gpu.ts";
import { logitParts, tokenLogprobs } from "../reference/token_logprobs.ts";
import { readFloats, readWords, storageBuffer } from "./buffers.ts";

const gpu = await openTestDevice();
const SLOTS = 5;

interface Row {
  readonly chosen: number;
  readonly ids: readonly number[];
  readonly logprobs: readonly number[];
}

/** The row that a step writes, and a check that it writes no other. */
async function run(
  logits: Float32Array<ArrayBuffer>,
  { chosen = 0, top = 20, step = 8, workgroupSize = 64 },
): Promise<Row> {
  // What lies behind the last logit must not matter.
  const padded = new Float32Array(Math.ceil(logits.length / 4) * 4).fill(1e30);
  padded.set(logits);
  const state = new Uint32Array(16);
  state.set([chosen, 0, step]);
  const buffers = { logits: storageBuffer(gpu, padded), state: storageBuffer(gpu, state) };
  const sizes = { slots: SLOTS, workgroupSize };
  const made = await TokenLogprobs.create(gpu, logits.length, sizes);
  const recorder = new Recorder(gpu.device, gpu.buffers, 2, "token logprobs test");
  made.record(recorder, buffers.logits, buffers.state, top);
  recorder.submit();
  const words = await readWords(gpu, made.ring);
  const floats = await readFloats(gpu, made.ring);
  recorder.destroy();
  made.destroy();
  for (const buffer of Object.values(buffers)) gpu.buffers.destroy(buffer);
  const at = ((step - 1) % SLOTS) * LOGPROB_WORDS;
  words.fill(0, at, at + 1 + 2 * top);
  expect(words.every((word) => word === 0)).toBe(true);
  const row = Array.from({ length: top }, (_, i) => at + 1 + 2 * i);
  const wordsAgain = new Uint32Array(floats.buffer);
  return {
    chosen: floats[at],
    ids: row.map((i) => wordsAgain[i]),
    logprobs: row.map((i) => floats[i + 1]),
  };
}

async function expectTwin(
  logits: Float32Array<ArrayBuffer>,
  options: Parameters<typeof run>[1],
): Promise<Row> {
  const found = await run(logits, options);
  const { chosen = 0, top = 20 } = options;
  const twin = tokenLogprobs(logits, chosen, top);
  const known = twin.best.length;
  expect(found.ids.slice(0, known)).toEqual(twin.best.map(({ id }) => id));
  expect(found.ids.slice(known).every((id) => id >= logits.length)).toBe(true);
  const tolerance = { atol: 1e-37, rtol: 4e-6 };
  expectClose([found.chosen], [twin.chosen], tolerance);
  const expected = twin.best.map(({ logprob }) => logprob);
  expectClose(found.logprobs.slice(0, known), expected, tolerance);
  return found;
}

describe("logprob_partial", () => {
  test.each([1, 3, 255, 4095, 4099, 12290])("parts of %i logits", async (vocabSize) => {
    const logits = seededRandom(vocabSize).normals(Math.ceil(vocabSize / 4) * 4, 3);
    const parts = Math.ceil(vocabSize / 4096) * 64;
    const kernel = await gpu.kernels.get({ name: "logprob_partial" });
    const buffers = {
      logits: storageBuffer(gpu, logits),
      partials: storageBuffer(gpu, new Uint32Array(2 * parts)),
      sums: storageBuffer(gpu, new Float32Array(parts)),
    };
    const recorder = new Recorder(gpu.device, gpu.buffers, 1, "logprob test");
    recorder.run(kernel, buffers, { vocab_size: vocabSize }, [parts / 64, 1, 1]);
    recorder.submit();
    const partials = await readWords(gpu, buffers.partials);
    const sums = await readFloats(gpu, buffers.sums);
    recorder.destroy();
    for (const buffer of Object.values(buffers)) gpu.buffers.destroy(buffer);
    const twin = logitParts(logits.subarray(0, vocabSize), parts);
    expect(twin.ids.map((_, i) => partials[2 * i + 1] | 0)).toEqual(twin.ids);
    expectClose(sums, twin.sums, { atol: 0, rtol: 2e-6 });
  });
});

describe.each([64, 256])("token_logprobs in workgroups of %i", (workgroupSize) => {
  test.each([
    [1, 20],
    [2, 1],
    [19, 20],
    [257, 20],
    [4099, 7],
    [49152, 20],
    [151936, 5],
  ])("%i logits, the best %i", async (vocabSize, top) => {
    const random = seededRandom(vocabSize);
    for (const scale of [0.5, 8]) {
      const logits = random.normals(vocabSize, scale);
      const [chosen] = random.integers(1, vocabSize);
      await expectTwin(logits, { chosen, top, workgroupSize });
    }
  });

  test("only the chosen token", async () => {
    const logits = seededRandom(5).normals(3001, 2);
    await expectTwin(logits, { chosen: 2999, top: 0, step: 1, workgroupSize });
  });

  test("ties go to the lower id, wherever the best lie; all in one part, too", async () => {
    await expectTwin(new Float32Array(5000).fill(3), { workgroupSize });
    const tied = seededRandom(6).normals(9000, 2).map(Math.round);
    await expectTwin(tied, { chosen: 8999, workgroupSize });
    const together = new Float32Array(9000).fill(-5);
    for (let i = 0; i < 24; i++) together[Math.floor(i / 4) * 256 + 80 + (i % 4)] = 3 + (i % 5);
    await expectTwin(together, { chosen: 80, workgroupSize });
  });

  test("a token that is nearly certain keeps its relative precision", async () => {
    const logits = seededRandom(7).normals(49152, 2);
    logits[777] = 40;
    const { chosen } = await expectTwin(logits, { chosen: 777, workgroupSize });
    expect(chosen).toBeLessThan(0);
  });

  test("masked logits are improbable, not broken", async () => {
    const logits = new Float32Array(300).fill(-Infinity);
    logits[7] = -3;
    logits[299] = -4;
    const { ids, logprobs, chosen } = await run(logits, { chosen: 5, top: 4, workgroupSize });
    expect(ids).toEqual([7, 299, 0, 1]);
    expectClose(logprobs.slice(0, 2), [-0.31326169, -1.31326169], { atol: 0, rtol: 1e-6 });
    expect([chosen, ...logprobs.slice(2)]).toEqual([-Infinity, -Infinity, -Infinity]);
  });
});
