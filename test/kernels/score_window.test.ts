import { describe, test } from "vitest";
import {
  compressKernels,
  type CompressVariant,
  QUERY_ROWS,
} from "../../src/cache/compress-kernels.ts";
import { scoreStride } from "../../src/cache/layout.ts";
import { resolveCacheOptions } from "../../src/cache/options.ts";
import { adapterFeatures, expectClose, openTestDevice } from "../gpu.ts";
import { scoreStats } from "../reference/score_stats.ts";
import { scoreWindow } from "../reference/score_window.ts";
import { readFloats, storageBuffer } from "./buffers.ts";
import { LAYER, layerCase, type LayerShape, runKernel, windowRows } from "./layer-case.ts";

const VARIANTS: CompressVariant["lanes"][] = [0];
const features = adapterFeatures.has("subgroups") ? (["subgroups"] as const) : [];
const gpu = await openTestDevice({ features });
const { subgroupMinSize, subgroupMaxSize } = gpu.info;
for (const lanes of [4, 8, 16] as const) {
  if (features.length > 0 && lanes === subgroupMinSize && lanes === subgroupMaxSize) {
    VARIANTS.push(lanes);
  }
}

const SHAPES: Record<string, LayerShape> = {
  "first prompt": {
    numHeads: 9,
    numKvHeads: 3,
    headDim: 64,
    dtype: "f16",
    lengths: [0, 0, 0],
    newTokens: 131,
    windowSize: 8,
    tokens: 131,
  },
  "ragged heads, and a message shorter than the window": {
    numHeads: 4,
    numKvHeads: 4,
    headDim: 32,
    dtype: "f32",
    lengths: [30, 64, 17, 200],
    newTokens: 3,
    windowSize: 13,
    tokens: 500,
  },
  "kept rows alone": {
    numHeads: 8,
    numKvHeads: 2,
    headDim: 128,
    dtype: "f32",
    lengths: [65, 70],
    newTokens: 0,
    windowSize: 5,
    tokens: 300,
  },
  "everything is the window": {
    numHeads: 9,
    numKvHeads: 3,
    headDim: 64,
    dtype: "f16",
    lengths: [2, 2, 2],
    newTokens: 4,
    windowSize: 8,
    tokens: 6,
  },
  "thousands of rows, far apart": {
    numHeads: 3,
    numKvHeads: 1,
    headDim: 32,
    dtype: "f16",
    lengths: [900],
    newTokens: 2200,
    windowSize: 33,
    tokens: 9000,
  },
};

describe.each(VARIANTS)("score_stats and score_window by subgroups of %d", (lanes) => {
  for (const [name, shape] of Object.entries(SHAPES)) {
    for (const allHeads of [false, true]) {
      const ragged = new Set(shape.lengths).size > 1;
      if (allHeads && ragged) continue; // heads that share scores keep the same rows
      test(`${name}${allHeads ? ", mean over all heads" : ""}`, async () => {
        const { numHeads, numKvHeads, headDim, newTokens, windowSize, tokens } = shape;
        const layer = layerCase(gpu, shape);
        const { table, queries, keys, staged_keys, stats } = layer.buffers;
        const policy = allHeads ? "tova" : "snapkv";
        const specs = compressKernels(
          { ...shape, numLayers: LAYER + 1 },
          resolveCacheOptions({ policy }, LAYER + 1),
          { lanes, selectSize: 64 },
        );
        const rows = windowRows(shape);
        const params = {
          table_base: LAYER * numKvHeads,
          new_tokens: newTokens,
          window_rows: rows,
          window_size: windowSize,
          first_slot: (tokens - rows) % windowSize,
          ring_base: (LAYER * windowSize * numHeads * headDim) / 4,
          octets: headDim / 8,
          scale: 1 / Math.sqrt(headDim),
        };
        const buffers = { table, queries, keys, staged_keys, stats };
        const blocks = Math.ceil((rows * numHeads) / numKvHeads / QUERY_ROWS);
        await runKernel(gpu, specs.score_stats, buffers, params, [blocks, numKvHeads, 1]);
        const expectedStats = scoreStats(layer);
        expectClose(await readFloats(gpu, stats), expectedStats.flat(2), {
          atol: 1e-5,
          rtol: 2e-5,
        });

        const candidates = layer.keys.map(({ length }) => length);
        const most = Math.max(...candidates);
        const stride = scoreStride(most);
        const scores = storageBuffer(gpu, new Float32Array(numKvHeads * stride));
        await runKernel(
          gpu,
          specs.score_window,
          { ...buffers, scores },
          { ...params, score_stride: stride },
          [Math.ceil(most / 64), allHeads ? 1 : numKvHeads, 1],
        );
        const all = await readFloats(gpu, scores);
        const expected = scoreWindow(layer, allHeads);
        for (const [head, row] of expected.entries()) {
          const ours = all.subarray(head * stride, head * stride + candidates[head]);
          expectClose(ours, row, { atol: 1e-9, rtol: 2e-5 });
        }
      });
    }
  }
});
