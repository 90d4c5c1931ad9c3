import { describe, expect, test } from "vitest";
import { Recorder } from "../../src/gpu/recorder.ts";
import { Attention } from "../../src/model/attention.ts";
import { type AttentionShape, chooseAttention } from "../../src/model/attention-variants.ts";
import { ropeFrequencies } from "../../src/model/rope.ts";
import { openTestDevice, seededRandom } from "../gpu.ts";
import { readFloats, readWords, storageBuffer } from "./buffers.ts";

const gpu = await openTestDevice();

const NUM_LAYERS = 3;
const LAYER = 1;

const shape: AttentionShape = {
  numHeads: 6,
  numKvHeads: 2,
  headDim: 64,
  kvDtype: "f16",
  ropeStyle: "half",
  ropeFrequencies: ropeFrequencies({ theta: 10000, dim: 48 }),
};
const heads = shape.numHeads + 2 * shape.numKvHeads;
const querySize = shape.numHeads * shape.headDim;
const attention = await Attention.create(gpu, shape, chooseAttention(gpu, 0));

/** Words of a ring of no queries: what a binding needs. */
const NO_RING = 4;

const zeros = (words: number): GPUBuffer => storageBuffer(gpu, new Uint32Array(words));
const state = (position: number, done = 0): GPUBuffer =>
  storageBuffer(gpu, Uint32Array.from([5, position, 0, done]));

/** Fresh `qkv` of some tokens, a table, rows of 2 heads, and a ring of `windowSize` queries. */
function makeBuffers(
  tokens: number,
  windowSize: number,
): Record<"table" | "qkv" | "keys" | "values" | "queries", GPUBuffer> {
  const entries = [0, 0, 0, 0, 0, 0, 0, 0, 10, 3, 9, 0, 40, 5, 5, 0];
  return {
    table: storageBuffer(gpu, Uint32Array.from(entries)),
    qkv: storageBuffer(gpu, seededRandom(tokens).normals(tokens * heads * shape.headDim)),
    keys: zeros(64 * shape.headDim),
    values: zeros(64 * shape.headDim),
    queries: zeros(NUM_LAYERS * windowSize * querySize || NO_RING),
  };
}

/** The rotated query of a token, as rope_append leaves it in `qkv`. */
async function rotatedQuery(qkv: GPUBuffer, token: number): Promise<number[]> {
  const first = token * heads * shape.headDim;
  return [...(await readFloats(gpu, qkv))].slice(first, first + querySize);
}

/** Slots of the ring that hold the queries `wanted[slot]`, all others being zero. */
async function expectRing(
  ring: GPUBuffer,
  windowSize: number,
  wanted: Map<number, number[]>,
): Promise<void> {
  const expected = new Float32Array(NUM_LAYERS * windowSize * querySize || NO_RING);
  for (const [slot, query] of wanted) {
    expected.set(query, (LAYER * windowSize + slot) * querySize);
  }
  expect(await readFloats(gpu, ring)).toEqual(expected);
}

describe("rope_append that tracks rows", () => {
  test("prefill: queries from an index on, each in the slot of its position", async () => {
    const [position, start, tokens, from, windowSize] = [1003, 7, 9, 11, 5];
    const { table, qkv, keys, values, queries } = makeBuffers(tokens, windowSize);
    const list = new Recorder(gpu.device, gpu.buffers, 1, "test");
    const staged = { keys, values, offset: 0, stride: 16, rows: 16 };
    const chunk = { tableBase: 2, start, tokens };
    const track = { queries, layer: LAYER, windowSize, from };
    attention.appendStaged(list, { table, qkv }, state(position), staged, chunk, track);
    list.submit();
    const wanted = new Map<number, number[]>();
    for (let token = from - start; token < tokens; token++) {
      const slot = (position + start + token) % windowSize;
      wanted.set(slot, await rotatedQuery(qkv, token));
    }
    expect(wanted.size).toBe(windowSize);
    await expectRing(queries, windowSize, wanted);
  });

  for (const windowSize of [4, 0]) {
    test(`decode: the query, and the position of each head's row; window ${windowSize}`, async () => {
      const { table, qkv, keys, values, queries } = makeBuffers(1, windowSize);
      const positions = zeros(64);
      const list = new Recorder(gpu.device, gpu.buffers, 1, "test");
      const track = { queries, layer: LAYER, windowSize, from: 99, positions };
      attention.appendDecoded(list, { table, qkv, keys, values }, state(4321), 2, track);
      list.submit();
      const expected = new Uint32Array(64);
      expected[13] = 4321; // the second head is full
      expect(await readWords(gpu, positions)).toEqual(expected);
      const wanted = new Map<number, number[]>();
      if (windowSize > 0) wanted.set(4321 % windowSize, await rotatedQuery(qkv, 0));
      await expectRing(queries, windowSize, wanted);
    });
  }

  test("decode: nothing once the generation is done", async () => {
    const { table, qkv, keys, values, queries } = makeBuffers(1, 4);
    const positions = zeros(64);
    const list = new Recorder(gpu.device, gpu.buffers, 1, "test");
    const track = { queries, layer: LAYER, windowSize: 4, from: 0, positions };
    attention.appendDecoded(list, { table, qkv, keys, values }, state(4321, 1), 2, track);
    list.submit();
    expect(await readWords(gpu, positions)).toEqual(new Uint32Array(64));
    await expectRing(queries, 4, new Map());
  });
});
