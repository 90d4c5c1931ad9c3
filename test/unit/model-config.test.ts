import { readFileSync } from "node:fs";
import { beforeAll, describe, expect, test } from "vitest";
import { ModelFormatError } from "../../src/errors.ts";
import { type GgufFile, readGguf } from "../../src/formats/gguf.ts";
import type { TensorInfo } from "../../src/formats/tensor-types.ts";
import { bufferSource } from "../../src/hub/sources.ts";
import { readModelConfig } from "../../src/model/config.ts";
import { type ModelTensors, modelTensors } from "../../src/model/model-tensors.ts";
import { goldenPath } from "../golden/format.ts";

let file: GgufFile;
beforeAll(async () => {
  file = await readGguf(bufferSource(readFileSync(goldenPath("tiny-qwen2.gguf")), "m.gguf"));
});

/** The file with a value of its metadata changed, or left out. */
function withValue(key: string, value?: number | string): GgufFile {
  const metadata = new Map(file.metadata);
  if (value === undefined) metadata.delete(key);
  else metadata.set(key, value);
  return { ...file, metadata };
}

describe("readModelConfig", () => {
  test.each([
    "block_count",
    "embedding_length",
    "attention.head_count",
    "feed_forward_length",
    "context_length",
  ])("says that %s is missing", (name) => {
    const read = (): unknown => readModelConfig(withValue(`qwen2.${name}`));
    expect(read).toThrow(ModelFormatError);
    const says = `metadata "qwen2.${name}" should be a whole number, not negative, got nothing`;
    expect(read).toThrow(says);
  });

  test.each([
    ["block_count", 0, 'metadata "qwen2.block_count" should be from 1 to 1024, got 0'],
    ["embedding_length", 65_537, "from 1 to 65536, got 65537"],
    ["attention.key_length", 0, 'metadata "qwen2.attention.key_length" should be from 1'],
    ["attention.layer_norm_rms_epsilon", 0, "rmsNormEps should be above 0, got 0"],
    ["attention.layer_norm_rms_epsilon", undefined, "a finite number, got nothing"],
    ["rope.freq_base", 0.5, "ropeTheta should be at least 1, got 0.5"],
    ["rope.scaling.type", "linear", 'rope.scaling.factor" should be a finite number, got nothing'],
  ])("refuses %s = %s", (name, value, says) => {
    const read = (): unknown => readModelConfig(withValue(`qwen2.${name}`, value));
    expect(read).toThrow(ModelFormatError);
    expect(read).toThrow(says);
  });
});

describe("modelTensors", () => {
  const find = (change: (tensors: Map<string, TensorInfo>) => void): ModelTensors => {
    const tensors = new Map(file.tensors);
    change(tensors);
    return modelTensors({ name: "m.gguf", tensors }, readModelConfig(file));
  };

  test("refuses every tensor that is missing or of another shape", () => {
    for (const [name, info] of file.tensors) {
      const expected = `tensor "${name}" should be of shape [${info.shape.join(", ")}]`;
      const other = { ...info, shape: [...info.shape, 1] };
      expect(() => find((tensors) => tensors.set(name, other))).toThrow(expected);
      if (name === "output.weight") continue;
      expect(() => find((tensors) => tensors.delete(name))).toThrow(`${expected}, got nothing`);
    }
  });

  test("does without a head and RoPE factors; those that are there must have their shape", () => {
    const found = find((tensors) => tensors.delete("output.weight"));
    expect(found).toMatchObject({ lmHead: undefined, ropeFactors: undefined });
    const name = "rope_freqs.weight";
    const factors = { ...file.tensors.get("output_norm.weight")!, name };
    const [pairs] = factors.shape as [number];
    expect(() => find((tensors) => tensors.set(name, factors))).toThrow(
      `tensor "${name}" should be of shape [${readModelConfig(file).ropeDim / 2}], got [${pairs}]`,
    );
  });
});
