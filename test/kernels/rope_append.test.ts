import { describe, expect, test } from "vitest";
import { Recorder } from "../../src/gpu/recorder.ts";
import { Attention } from "../../src/model/attention.ts";
import { type AttentionShape, chooseAttention } from "../../src/model/attention-variants.ts";
import { ropeFrequencies } from "../../src/model/rope.ts";
import { expectClose, openTestDevice, seededRandom } from "../gpu.ts";
import { rotate } from "../reference/rope_append.ts";
import { readFloats, readWords, storageBuffer } from "./buffers.ts";
import { unpackRows } from "./kv-rows.ts";

const gpu = await openTestDevice();

const shape = (more: Partial<AttentionShape>): AttentionShape => ({
  numHeads: 6,
  numKvHeads: 2,
  headDim: 64,
  kvDtype: "f16",
  ropeStyle: "interleaved",
  ropeFrequencies: ropeFrequencies({ theta: 10000, dim: 64 }),
  ...more,
});

const SHAPES: Record<string, AttentionShape> = {
  "neighbours, f16": shape({}),
  "halves, f32, rotated in part": shape({
    ropeStyle: "half",
    kvDtype: "f32",
    headDim: 96,
    ropeFrequencies: ropeFrequencies({ theta: 10000, dim: 32 }),
  }),
  "neighbours, f32, rotated in part": shape({
    kvDtype: "f32",
    headDim: 32,
    ropeFrequencies: ropeFrequencies({ theta: 10000, dim: 16 }),
  }),
  "halves, f16, one head each": shape({
    numHeads: 1,
    numKvHeads: 1,
    headDim: 128,
    ropeStyle: "half",
    ropeFrequencies: ropeFrequencies({ theta: 500000, dim: 128 }),
  }),
};

/** Rounding to f16, and to f32. */
const ROW_TOLERANCE = { f16: { atol: 2e-6, rtol: 6e-4 }, f32: { atol: 2e-6, rtol: 1e-6 } };

const TABLE_BASE = 3;

interface Target {
  /** Row of token 0, per KV head; -1: none may be written. */
  readonly rows: readonly number[];
  /** Tokens that find room. */
  readonly stored: number;
}

/** Compares queries and rows with the twin; every row that is no destination has to be zero. */
async function expectAppended(
  one: AttentionShape,
  position: number,
  tokens: number,
  target: Target,
  run: (
    attention: Attention,
    list: Recorder,
    buffers: Record<"qkv" | "keys" | "values", GPUBuffer>,
  ) => void,
): Promise<void> {
  const { numHeads, numKvHeads, headDim, kvDtype } = one;
  const heads = numHeads + 2 * numKvHeads;
  const qkv = seededRandom(tokens).normals(tokens * heads * headDim);
  const expected = rotate({ ...one, qkv, tokens, position });
  const words = (300 * headDim) / (kvDtype === "f16" ? 2 : 1);
  const buffers = {
    qkv: storageBuffer(gpu, qkv),
    keys: storageBuffer(gpu, new Uint32Array(words)),
    values: storageBuffer(gpu, new Uint32Array(words)),
  };
  const attention = await Attention.create(gpu, one, chooseAttention(gpu, 0));
  const list = new Recorder(gpu.device, gpu.buffers, 4, "test");
  run(attention, list, buffers);
  list.submit();

  const queries = (all: ArrayLike<number>): number[] =>
    Array.from(all).filter((_, i) => Math.floor(i / headDim) % heads < numHeads);
  const ours = queries(await readFloats(gpu, buffers.qkv));
  expectClose(ours, queries(expected), { atol: 2e-6, rtol: 1e-6 });
  for (const [name, first] of [
    ["keys", numHeads],
    ["values", numHeads + numKvHeads],
  ] as const) {
    const rows = new Float64Array(300 * headDim);
    target.rows.forEach((row, kvHead) => {
      for (let token = 0; token < (row < 0 ? 0 : target.stored); token++) {
        const source = (token * heads + first + kvHead) * headDim;
        rows.set(expected.subarray(source, source + headDim), (row + token) * headDim);
      }
    });
    const stored = unpackRows(await readWords(gpu, buffers[name]), kvDtype);
    expectClose(stored, rows, ROW_TOLERANCE[kvDtype]);
  }
}

const table = (...entries: number[][]): GPUBuffer =>
  storageBuffer(gpu, Uint32Array.from([...Array(TABLE_BASE * 4).fill(9), ...entries.flat()]));

const state = (position: number, done = 0): GPUBuffer =>
  storageBuffer(gpu, Uint32Array.from([5, position, 0, done]));

describe("rope_append", () => {
  for (const [name, one] of Object.entries(SHAPES)) {
    const perHead = <T>(values: T[]): T[] => values.slice(0, one.numKvHeads);

    test(`${name}: staged rows`, async () => {
      const chunk = { tableBase: TABLE_BASE, start: 5, tokens: 7 };
      // The last token finds no room.
      const target = { rows: perHead([11 + 5, 11 + 90 + 5]), stored: 6 };
      await expectAppended(one, 700 + 5, 7, target, (attention, list, { qkv, keys, values }) => {
        const staged = { keys, values, offset: 11, stride: 90, rows: 11 };
        attention.appendStaged(list, { table: table(), qkv }, state(700), staged, chunk);
      });
    });

    test(`${name}: a decoded token`, async () => {
      const entries = perHead([
        [40, 3, 9, 0],
        [200, 0, 1, 0],
      ]);
      const target = { rows: perHead([43, 200]), stored: 1 };
      await expectAppended(one, 4321, 1, target, (attention, list, buffers) => {
        const bound = { ...buffers, table: table(...entries) };
        attention.appendDecoded(list, bound, state(4321), TABLE_BASE);
      });
    });
  }

  test("a full head gets no row, a finished generation none at all", async () => {
    const entries = [
      [40, 9, 9, 0],
      [200, 2, 9, 0],
    ];
    for (const done of [0, 1]) {
      const target = { rows: [-1, done === 1 ? -1 : 202], stored: 1 };
      await expectAppended(shape({}), 8, 1, target, (attention, list, buffers) => {
        const bound = { ...buffers, table: table(...entries) };
        attention.appendDecoded(list, bound, state(8, done), TABLE_BASE);
      });
    }
  });

  test("angles are right to 4e-7 at every position", async () => {
    // Pairs of (1, 0) turn into (cos, sin).
    const one = shape({
      numHeads: 1,
      numKvHeads: 1,
      headDim: 128,
      ropeFrequencies: ropeFrequencies({ theta: 500000, dim: 128 }),
    });
    const attention = await Attention.create(gpu, one, chooseAttention(gpu, 0));
    const tokens = 64;
    const chunk = { tableBase: TABLE_BASE, start: 0, tokens };
    for (const position of [0, 8128, 131008, 2 ** 20 - tokens]) {
      const qkv = Float32Array.from({ length: tokens * 3 * 128 }, (_, i) => (i + 1) % 2);
      const bound = { table: table(), qkv: storageBuffer(gpu, qkv) };
      const rows = storageBuffer(gpu, new Uint32Array(64));
      const staged = { keys: rows, values: storageBuffer(gpu, new Uint32Array(64)) };
      const list = new Recorder(gpu.device, gpu.buffers, 1, "test");
      const nowhere = { ...staged, offset: 0, stride: 0, rows: 0 };
      attention.appendStaged(list, bound, state(position), nowhere, chunk);
      list.submit();
      const expected = rotate({ ...one, qkv, tokens, position });
      const ours = await readFloats(gpu, bound.qkv);
      let worst = 0;
      for (let token = 0; token < tokens; token++) {
        for (let i = token * 384; i < token * 384 + 128; i++) {
          worst = Math.max(worst, Math.abs(ours[i] - expected[i]));
        }
      }
      expect(worst).toBeLessThan(4e-7);
    }
  });
});
