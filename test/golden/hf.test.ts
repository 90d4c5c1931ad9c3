import { describe, expect, test } from "vitest";
import { diskFolder } from "../../src/cli/file-source.ts";
import { openModel } from "../../src/model/open-model.ts";
import { dequantize } from "../../src/formats/blocks.ts";
import { bufferSource, type Engine, loadEngine } from "../../src/index.ts";
import { gpu } from "../gpu.ts";
import { buildGguf, type GgufTensor } from "../reference/write_gguf.ts";
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

/** The same model as llama.cpp's converter would write it, with the tokenizer of a tiny model. */
async function asGguf(name: HfModel): Promise<Uint8Array<ArrayBuffer>> {
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
    tensors.push({ name: ggufName, type: info.type, shape: info.shape, data: rows });
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
