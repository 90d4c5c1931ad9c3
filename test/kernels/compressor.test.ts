import { describe, expect, test } from "vitest";
import type { CompressRows } from "../../src/cache/compress-call.ts";
import { createCompressor } from "../../src/cache/compressor.ts";
import { scratchBytes, spareRows } from "../../src/cache/layout.ts";
import { type CacheOptions, resolveCacheOptions } from "../../src/cache/options.ts";
import { Recorder } from "../../src/gpu/recorder.ts";
import { expectClose, openTestDevice } from "../gpu.ts";
import { compactKv } from "../reference/compact_kv.ts";
import { compactPositions } from "../reference/compact_positions.ts";
import { keptMass } from "../reference/kept_mass.ts";
import { placeHeads } from "../reference/place_heads.ts";
import { poolScores } from "../reference/pool_scores.ts";
import { scoreKeynorm } from "../reference/score_keynorm.ts";
import { scoreRecency } from "../reference/score_recency.ts";
import { scoreWindow } from "../reference/score_window.ts";
import { selectTopk } from "../reference/select_topk.ts";
import { splitBudget } from "../reference/split_budget.ts";
import { readFloats, readWords, storageBuffer } from "./buffers.ts";
import { unpackRows } from "./kv-rows.ts";
import { LAYER, type LayerCase, layerCase, type LayerShape, windowRows } from "./layer-case.ts";

const gpu = await openTestDevice();

const EXACT = { atol: 0, rtol: 0 };

interface Case {
  readonly layer: LayerCase;
  readonly options: CacheOptions;
  /** Rows that the layer keeps per head; undefined: all. */
  readonly rows?: number;
  readonly hasStats?: boolean;
}

/** What select ranks, `[KV head][candidate]`, and the scores before pooling. */
function expectedScores({ layer, options }: Case): { ranks: number[][]; scores: number[][] } {
  const { policy, pool, windowSize, numSinks } = resolveCacheOptions(options, 1);
  if (policy.scorer?.kind === "key-norm") {
    const scores = scoreKeynorm(layer.keys);
    return { ranks: scores, scores };
  }
  if (policy.scorer?.kind === "recency") {
    const scores = layer.keys.map(({ length }) => scoreRecency(length, numSinks));
    return { ranks: scores, scores };
  }
  const scores = scoreWindow(layer, policy.scorer?.heads === "all");
  const rows = Math.min(windowSize, windowRows(layer.shape));
  return { ranks: scores.map((row) => poolScores(row, rows, pool)), scores };
}

/** Compress a layer, and compare everything that it becomes with the twins. */
async function expectCompressed(one: Case): Promise<void> {
  const { layer, rows = Infinity, hasStats = false } = one;
  const { shape, keys, buffers } = layer;
  const { numKvHeads, headDim, dtype, newTokens, tokens, windowSize } = shape;
  const options = resolveCacheOptions({ ...one.options, kvDtype: dtype }, 1);
  const kv = { ...shape, numLayers: LAYER + 1 };
  const compressor = await createCompressor(gpu, kv, options);
  const all = keys.map(({ length }) => length);
  const candidates = Math.max(...all);
  const evicts = all.some((count) => count > rows);
  const mean = evicts ? rows : all.reduce((a, b) => a + b) / numKvHeads;
  const spare = spareRows(windowSize);
  const before = gpu.buffers.now.kv;
  const size = { newTokens, candidates, layerRows: mean * numKvHeads, windowSize, pools: true };
  const bytes = scratchBytes(kv, { ...size, pools: compressor.usesWindow });
  const allocated = compressor.allocate(bytes);
  const { stagedKeys, stats, scores, pooled, heads, kept } = bytes;
  const total = 2 * stagedKeys + stats + scores + pooled + heads + kept;
  expect(gpu.buffers.now.kv - before).toBe(total);
  const staged = { stagedKeys: buffers.staged_keys, stagedValues: buffers.staged_values };
  const scratch = { ...allocated, ...staged };

  const newRows = numKvHeads * (mean + spare);
  const words = (newRows * headDim) / (dtype === "f16" ? 2 : 1);
  const to: CompressRows = {
    keys: storageBuffer(gpu, new Uint32Array(words)),
    values: storageBuffer(gpu, new Uint32Array(words)),
    positions: storageBuffer(gpu, new Uint32Array(newRows)),
  };
  const mass = storageBuffer(gpu, new Float32Array((LAYER + 1) * numKvHeads).fill(7));
  const list = new Recorder(gpu.device, gpu.buffers, 16, "test");
  compressor.record(list, scratch, {
    layer: LAYER,
    table: buffers.table,
    from: layer.entries.some(([, length]) => length > 0) ? buffers : undefined,
    newTokens,
    firstPosition: tokens - newTokens,
    candidates,
    to,
    rows: mean,
    spareRows: spare,
    evicts,
    queries: buffers.queries,
    tokens,
    hasStats,
    keptMass: mass,
  });
  list.submit();

  const { ranks, scores: raw } = expectedScores(one);
  const headRows = all.map((count) => Math.min(count, rows));
  if (evicts && options.policy.heads === "adaptive") {
    const floor = Math.max(Math.floor(rows * options.headFloor), windowSize);
    headRows.splice(0, numKvHeads, ...splitBudget(ranks, rows * numKvHeads, floor));
  }
  const expectedKept = ranks.map((row, head) => selectTopk(row, headRows[head]));
  const entries = placeHeads(headRows, spare).flatMap((entry) => [...entry, 0]);
  const table = await readWords(gpu, buffers.table);
  expect([...table.slice(LAYER * numKvHeads * 4)]).toEqual(entries);
  const positions = compactPositions(layer.positions, expectedKept, spare);
  expectClose(await readWords(gpu, to.positions), positions, EXACT);
  for (const kind of ["keys", "values"] as const) {
    const expected = new Float32Array(newRows * headDim);
    for (const { head, candidate, row } of compactKv(expectedKept, spare)) {
      expected.set(layer[kind][head][candidate], row * headDim);
    }
    expectClose(unpackRows(await readWords(gpu, to[kind]), dtype), expected, EXACT);
  }
  const measured = [...(await readFloats(gpu, mass))];
  expect(measured.slice(0, LAYER * numKvHeads)).toEqual(Array(LAYER * numKvHeads).fill(7));
  const share = expectedKept.map((row, head) => keptMass(raw[head], row));
  const isMeasured = compressor.usesWindow || !evicts;
  const expectedMass = share.map((sum) => (isMeasured ? (evicts ? sum : 1) : 0));
  expectClose(measured.slice(LAYER * numKvHeads), expectedMass, { atol: 1e-5, rtol: 1e-5 });
  compressor.release(allocated);
  expect(gpu.buffers.now.kv).toBe(before);
}

const SHAPES: Record<string, Omit<LayerShape, "windowSize" | "lengths">> = {
  "3 of 9 heads, 64, f16": {
    numHeads: 9,
    numKvHeads: 3,
    headDim: 64,
    dtype: "f16",
    newTokens: 75,
    tokens: 300,
  },
  "2 of 2 heads, 128, f32": {
    numHeads: 2,
    numKvHeads: 2,
    headDim: 128,
    dtype: "f32",
    newTokens: 20,
    tokens: 130,
  },
  "2 of 8 heads, 32, f32": {
    numHeads: 8,
    numKvHeads: 2,
    headDim: 32,
    dtype: "f32",
    newTokens: 600,
    tokens: 600,
  },
};

const RANKED: Record<string, CacheOptions> = {
  "pyramidkv, avg 5": { policy: "pyramidkv", windowSize: 8 },
  "snapkv, max 7": { policy: "snapkv", windowSize: 13, pool: { kind: "max", size: 7 } },
  "ada-kv": { policy: "ada-kv", windowSize: 4 },
  tova: { policy: "tova" },
  knorm: { policy: "knorm" },
  "streaming-llm": { policy: "streaming-llm", numSinks: 5 },
};

describe("compressor", () => {
  for (const [name, shape] of Object.entries(SHAPES)) {
    const { numKvHeads } = shape;
    const even = Array<number>(numKvHeads).fill(shape.newTokens === shape.tokens ? 0 : 33);
    for (const [policy, options] of Object.entries(RANKED)) {
      const { windowSize } = resolveCacheOptions(options, 1);
      const layer = (more: Partial<LayerShape>): LayerCase =>
        layerCase(gpu, { ...shape, windowSize, lengths: even, ...more });

      test(`${policy} with ${name}`, async () => {
        await expectCompressed({ layer: layer({}), options, rows: 27 });
      });

      test(`${policy} with ${name}: the kept rows alone`, async () => {
        const lengths = even.map(() => 90);
        await expectCompressed({ layer: layer({ lengths, newTokens: 0 }), options, rows: 40 });
      });

      test(`${policy} with ${name}: nothing to evict`, async () => {
        await expectCompressed({ layer: layer({ tokens: 2000 }), options });
      });
    }
  }
});
