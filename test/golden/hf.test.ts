import { describe, expect, test } from "vitest";
import { diskFolder } from "../../src/cli/file-source.ts";
import { openModel } from "../../src/model/open-model.ts";
import { dequantize } from "../../src/formats/blocks.ts";
import {
  bufferSource,
  type Engine,
  type LoadProgress,
  loadEngine,
  type MatrixReport,
  type QuantizedWeights,
} from "../../src/index.ts";
import { gpu } from "../gpu.ts";
import { buildGguf, type GgufTensor } from "../reference/write_gguf.ts";
import { quantizeBlock } from "../reference/quantize_rows.ts";
import { tinyFile } from "../engine/tiny-models.ts";
import { readGguf } from "../../src/formats/gguf.ts";
import { expectScore, meanDifference } from "./compare.ts";
import { goldenPath } from "./format.ts";
import { HF_MODELS, type HfModel, readHfGolden } from "./hf-models.ts";

async function logprobs(engine: Engine, name: HfModel): Promise<readonly number[]> {
  const { score } = readHfGolden(name);
  const result = await engine.score(score.tokenIds, { contextTokens: score.context });
  await engine.destroy();
  return result.logprobs;
}

const F32_CACHE = { gpu, cache: { kvDtype: "f32" } } as const;

describe.each(HF_MODELS)("%s", (name) => {
  test("gives transformers' log-probabilities, and those of the same weights as GGUF", async () => {
    const { score, heldLogprobs } = readHfGolden(name);
    const folder = diskFolder(goldenPath(name));
    const ours = await logprobs(await loadEngine(folder, F32_CACHE), name);
    expectScore(ours, { ...score, logprobs: heldLogprobs }, "f32", name);
    expect(meanDifference(ours, score.logprobs)).toBeLessThan(0.01);
    const file = bufferSource(await asGguf(name), "same.gguf");
    const fromGguf = await logprobs(await loadEngine(file, F32_CACHE), name);
    // The same weights and kernels; only the order of the rotated pairs, and so of the sums, differs.
    expect(meanDifference(ours, fromGguf)).toBeLessThan(1e-5);
  });
});

test.each([
  ["hf-llama-f32", "q4", 2],
  ["hf-llama-f32", "q8", 0.15],
] as const)("%s, quantised on load to %s: as if the file had been", async (name, weights, most) => {
  let matrices: readonly MatrixReport[] = [];
  const engine = await loadEngine(diskFolder(goldenPath(name)), {
    ...F32_CACHE,
    weights,
    onProgress: (progress) => (matrices = progress.matrices ?? matrices),
  });
  const held = engine.memory().weights;
  const ours = await logprobs(engine, name);
  const twin = bufferSource(await asGguf(name, weights), "quantised.gguf");
  const reference = await loadEngine(twin, F32_CACHE);
  expect(held).toBe(reference.memory().weights);
  // A value half way between two steps may go to either.
  expect(meanDifference(ours, await logprobs(reference, name))).toBeLessThan(1e-3);
  // Random weights magnify roundings.
  expect(meanDifference(ours, readHfGolden(name).score.logprobs)).toBeLessThan(most);
  expect(matrices).toHaveLength(1 + 4 * 2 + 1);
  for (const { name: matrix, layouts, isRounded, relativeError = NaN } of matrices) {
    const eight = weights === "q8" || /^(token_embd|output)\.weight$/.test(matrix);
    expect({ matrix, layouts, isRounded }).toEqual({
      ...{ matrix, isRounded: true, layouts: [eight ? "q8" : "q4"] },
    });
    expect(relativeError).toBeGreaterThan(eight ? 0.002 : 0.03);
    expect(relativeError).toBeLessThan(eight ? 0.01 : 0.11);
  }
});

test("what a file has quantised already stays as it is, and other weights are refused", async () => {
  const file = bufferSource(tinyFile("tiny-qwen2"), "tiny.gguf");
  let matrices: readonly MatrixReport[] = [];
  const onProgress = (progress: LoadProgress): void => void (matrices = progress.matrices ?? []);
  const engine = await loadEngine(file, { gpu, weights: "q4", onProgress });
  await engine.destroy();
  expect(matrices.length).toBeGreaterThan(5);
  expect(matrices.filter(({ relativeError }) => relativeError !== undefined)).toEqual([]);
  const wrong = loadEngine(file, { gpu, weights: "q5" as "q4" });
  await expect(wrong).rejects.toMatchObject({ option: "weights" });
});

/**
 * The same model as llama.cpp's converter would write it, with the tokenizer of a tiny model; its matrices in
 * blocks of Q4_1 and Q8_0, where that is asked for, as the twin of `quantize_rows` makes them.
 */
async function asGguf(name: HfModel, weights?: QuantizedWeights): Promise<Uint8Array<ArrayBuffer>> {
  const { config, file, source } = await openModel({ folder: diskFolder(goldenPath(name)) });
  const { architecture: arch } = config;
  const tokenizer = await readGguf(bufferSource(tinyFile("tiny-flow"), "tiny-flow"));
  const tensors: GgufTensor[] = [];
  for (const [ggufName, info] of file.tensors) {
    const data = await source.read(info.offset, info.bytes);
    const heads = { attn_q: config.numHeads, attn_k: config.numKvHeads }[
      ggufName.split(".")[2] as "attn_q"
    ];
    const permuted = arch === "llama" && heads !== undefined;
    const rows = permuted ? interleaveHalves(data, heads, config.headDim) : data;
    const tensor: GgufTensor = { name: ggufName, type: info.type, shape: info.shape, data: rows };
    const isHead = ["token_embd.weight", "output.weight"].includes(ggufName);
    const kind = isHead ? "q8" : weights;
    tensors.push(weights && kind && info.shape.length === 2 ? quantized(tensor, kind) : tensor);
  }
  if (config.ropeLlama3) tensors.push(ropeFactors(config.headDim));
  const entries = [...tokenizer.metadata].filter(([key]) => key.startsWith("tokenizer."));
  const metadata = {
    ...Object.fromEntries(entries),
    "general.architecture": arch,
    [`${arch}.block_count`]: config.numLayers,
    [`${arch}.embedding_length`]: config.hiddenSize,
    [`${arch}.feed_forward_length`]: config.intermediateSize,
    [`${arch}.context_length`]: config.contextLength,
    [`${arch}.attention.head_count`]: config.numHeads,
    [`${arch}.attention.head_count_kv`]: config.numKvHeads,
    [`${arch}.attention.key_length`]: config.headDim,
    [`${arch}.attention.layer_norm_rms_epsilon`]: { type: "f32", value: config.rmsNormEps },
    [`${arch}.rope.freq_base`]: { type: "f32", value: config.ropeTheta },
  } as Parameters<typeof buildGguf>[0]["metadata"];
  if (config.vocabSize > 512) {
    const tokens = metadata["tokenizer.ggml.tokens"] as string[];
    const extra = Array.from({ length: config.vocabSize - 512 }, () => "");
    const kinds = Int32Array.from({ length: config.vocabSize }, (_, i) => (i < 512 ? 1 : 5));
    Object.assign(metadata, {
      "tokenizer.ggml.tokens": [...tokens, ...extra],
      "tokenizer.ggml.token_type": kinds,
    });
  }
  return buildGguf({ metadata, tensors });
}

function quantized({ data, ...tensor }: GgufTensor, kind: QuantizedWeights): GgufTensor {
  const values = dequantize(tensor.type, data, tensor.shape[0] * tensor.shape[1]);
  const bits = kind === "q4" ? 4 : 8;
  const blockBytes = bits === 4 ? 20 : 34;
  const out = new DataView(new ArrayBuffer((values.length / 32) * blockBytes));
  for (let block = 0; block < values.length / 32; block++) {
    const { scale, min, quants } = quantizeBlock(
      values.subarray(32 * block, 32 * (block + 1)),
      bits,
    );
    const at = block * blockBytes;
    out.setUint16(at, scale, true);
    if (bits === 8) quants.forEach((q, i) => out.setInt8(at + 2 + i, q - 128));
    else {
      out.setUint16(at + 2, min, true);
      for (let i = 0; i < 16; i++) out.setUint8(at + 4 + i, quants[i] | (quants[i + 16] << 4));
    }
  }
  const type = bits === 4 ? "Q4_1" : "Q8_0";
  return { ...tensor, type, data: new Uint8Array(out.buffer) };
}

/** Rows of q or k from rotated halves (transformers) to neighbouring pairs (GGUF `llama`). */
function interleaveHalves(data: Uint8Array, heads: number, headDim: number): Uint8Array {
  const rowBytes = data.length / (heads * headDim);
  const out = new Uint8Array(data.length);
  for (let row = 0; row < heads * headDim; row++) {
    const [head, i] = [Math.floor(row / headDim), row % headDim];
    const to = head * headDim + (i < headDim / 2 ? 2 * i : 2 * (i - headDim / 2) + 1);
    out.set(data.subarray(row * rowBytes, (row + 1) * rowBytes), to * rowBytes);
  }
  return out;
}

/** `rope_freqs.weight`, taken from `tiny-llama`, whose scaling is the same. */
function ropeFactors(headDim: number): GgufTensor {
  const shape = [headDim / 2];
  return {
    name: "rope_freqs.weight",
    type: "F32",
    shape,
    data: new Uint8Array(TINY_FACTORS.buffer),
  };
}

const tinyLlama = await readGguf(bufferSource(tinyFile("tiny-llama"), "tiny-llama"));
const factors = tinyLlama.tensors.get("rope_freqs.weight")!;
const TINY_FACTORS = dequantize(
  "F32",
  tinyFile("tiny-llama").subarray(factors.offset, factors.offset + factors.bytes),
  16,
);
