import { readFileSync, readdirSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { diskFolder } from "../../src/cli/file-source.ts";
import { openModel } from "../../src/model/open-model.ts";
import { LlmError } from "../../src/errors.ts";
import { type ModelFolder } from "../../src/formats/folder.ts";
import { filesFolder } from "../../src/hub/folders.ts";
import { bufferSource } from "../../src/hub/sources.ts";
import { goldenPath } from "../golden/format.ts";
import { HF_MODELS, hfFiles, type HfModel, readHfGolden } from "../golden/hf-models.ts";

const open = (folder: ModelFolder) => openModel({ folder });

describe.each(HF_MODELS)("%s", (name) => {
  const golden = readHfGolden(name);

  test("has the token ids of Python's tokenizers", async () => {
    const { tokenizer } = await open(diskFolder(goldenPath(name)));
    for (const { text, tokenIds } of golden.tokenizer) {
      expect([...tokenizer.encode(text, { specialTokens: true })], text).toEqual(tokenIds);
    }
    expect([...tokenizer.encodeChat(golden.chat.messages)]).toEqual(golden.chat.tokenIds);
    expect([...tokenizer.eosTokenIds].sort((a, b) => a - b)).toEqual(golden.endTokenIds);
    expect(tokenizer.addBos).toBe(false);
  });

  test("opens from picked files as from a folder", async () => {
    const files = readdirSync(goldenPath(name)).map(
      (file) => new File([readFileSync(goldenPath(`${name}/${file}`))], file),
    );
    const [picked, onDisk] = await Promise.all([
      open(filesFolder(files)),
      open(diskFolder(goldenPath(name))),
    ]);
    expect(picked.config).toEqual({ ...onDisk.config, name: picked.config.name });
    expect(picked.file.tensors).toEqual(onDisk.file.tensors);
    expect(picked.source.size).toBe(onDisk.source.size);
  });
});

test("the shape comes from config.json", async () => {
  const { config, file } = await open(diskFolder(goldenPath("hf-llama")));
  expect(config).toMatchObject({
    architecture: "llama",
    numLayers: 2,
    hiddenSize: 64,
    numHeads: 4,
    numKvHeads: 2,
    headDim: 32,
    intermediateSize: 96,
    vocabSize: 512,
    contextLength: 1024,
    rmsNormEps: 1e-5,
    ropeTheta: 10_000,
    ropeStyle: "half",
    ropeLlama3: { factor: 8, lowFreqFactor: 1, highFreqFactor: 4, originalContext: 256 },
  });
  expect(file.tensors.get("blk.1.attn_q.weight")).toMatchObject({
    name: "model.layers.1.self_attn.q_proj.weight",
    type: "F16",
    shape: [128, 64],
  });
  expect(file.tensors.has("output.weight")).toBe(false);
});

test("rows of the embedding beyond the tokenizer are unused tokens", async () => {
  const { tokenizer, config } = await open(diskFolder(goldenPath("hf-qwen2")));
  expect(config.vocabSize).toBe(520);
  expect(tokenizer.vocabSize).toBe(520);
  expect([...tokenizer.tokenBytes(519)]).toEqual([]);
});

test("transformers 4's spelling of RoPE is read, too", async () => {
  const { config } = await open(
    changed("hf-llama", "config.json", (json) => {
      const { rope_theta, ...scaling } = json["rope_parameters"] as Record<string, unknown>;
      delete json["rope_parameters"];
      return { ...json, rope_theta, rope_scaling: scaling };
    }),
  );
  expect(config.ropeTheta).toBe(10_000);
  expect(config.ropeLlama3?.factor).toBe(8);
});

/** A model with one of its JSON files changed. */
function changed(
  name: HfModel,
  path: string,
  change: (json: Record<string, unknown>) => object | undefined,
): ModelFolder {
  const files = hfFiles(name);
  const json = JSON.parse(Buffer.from(files.get(path)!).toString()) as Record<string, unknown>;
  const result = change(json);
  if (result === undefined) files.delete(path);
  else files.set(path, Buffer.from(JSON.stringify(result)));
  return {
    name,
    open: async (file) => {
      const bytes = files.get(file);
      return bytes && bufferSource(bytes, file);
    },
  };
}

const tokenizerChange = (change: (json: Record<string, Record<string, unknown>>) => void) => {
  return (json: Record<string, unknown>): object => {
    change(json as Record<string, Record<string, unknown>>);
    return json;
  };
};

describe("is refused by name:", () => {
  const cases: readonly (readonly [
    what: string,
    file: string,
    change: (json: Record<string, unknown>) => object | undefined,
    message: string,
  ])[] = [
    ["no config", "config.json", () => undefined, "there is no config.json"],
    ["no tokenizer", "tokenizer.json", () => undefined, "there is no tokenizer.json"],
    [
      "another architecture",
      "config.json",
      (j) => ({ ...j, model_type: "gpt2" }),
      'architecture "gpt2" is not',
    ],
    [
      "a prototype's name",
      "config.json",
      (j) => ({ ...j, model_type: "constructor" }),
      'architecture "constructor" is not',
    ],
    [
      "another RoPE",
      "config.json",
      (j) => ({ ...j, rope_parameters: { rope_type: "yarn" } }),
      'RoPE scaling "yarn"',
    ],
    [
      "part of a head",
      "config.json",
      (j) => ({ ...j, partial_rotary_factor: 0.5 }),
      "RoPE over 0.5 of a head",
    ],
    ["biases", "config.json", (j) => ({ ...j, attention_bias: true }), "attention_bias = true"],
    [
      "another activation",
      "config.json",
      (j) => ({ ...j, hidden_act: "gelu" }),
      'activation "gelu"',
    ],
    ["a sliding window", "config.json", (j) => ({ ...j, sliding_window: 512 }), "a sliding window"],
    [
      "quantised files",
      "config.json",
      (j) => ({ ...j, quantization_config: { bits: 4 } }),
      "quantised weights",
    ],
    [
      "too few layers in the files",
      "config.json",
      (j) => ({ ...j, num_hidden_layers: 3 }),
      '"model.layers.2.input_layernorm.weight"',
    ],
    [
      "a number that is none",
      "config.json",
      (j) => ({ ...j, hidden_size: "64" }),
      '"hidden_size" should be a whole number',
    ],
    [
      "a number that is missing",
      "config.json",
      (j) => ({ ...j, hidden_size: undefined }),
      '"hidden_size" should be a whole number, not negative, got nothing',
    ],
    [
      "positions that are multiplied without end",
      "config.json",
      (j) => ({ ...j, rope_parameters: { rope_type: "linear", factor: 1e-45 } }),
      "ropeScale should be at least 0.000001, got 1e-45",
    ],
    [
      "an untied head that is missing",
      "config.json",
      (j) => ({ ...j, tie_word_embeddings: false }),
      'tensor "lm_head.weight"',
    ],
    [
      "fewer rows than tokens",
      "config.json",
      (j) => ({ ...j, vocab_size: 500 }),
      "should be under 500",
    ],
    [
      "an end token outside",
      "generation_config.json",
      (j) => ({ ...j, eos_token_id: 600 }),
      '"eos_token_id" should be under 512',
    ],
    [
      "another tokenizer",
      "tokenizer.json",
      tokenizerChange((j) => (j["model"]["type"] = "Unigram")),
      'tokenizer "Unigram"',
    ],
    [
      "byte fallback",
      "tokenizer.json",
      tokenizerChange((j) => (j["model"]["byte_fallback"] = true)),
      "BPE with bytes for unknown",
    ],
    [
      "an unknown split",
      "tokenizer.json",
      tokenizerChange((j) => (j["pre_tokenizer"] = { type: "Metaspace" })),
      'pre-tokenizer "Metaspace"',
    ],
    [
      "another normaliser",
      "tokenizer.json",
      tokenizerChange((j) => (j["normalizer"] = { type: "Lowercase" })),
      'normalizer "Lowercase"',
    ],
    [
      "a token after each text",
      "tokenizer.json",
      tokenizerChange(
        (j) =>
          (j["post_processor"] = {
            type: "TemplateProcessing",
            single: [{ Sequence: { id: "A" } }, { SpecialToken: { id: "<|im_end|>" } }],
          }),
      ),
      "a template of other tokens",
    ],
    [
      "a merge of nothing",
      "tokenizer.json",
      tokenizerChange((j) => (j["model"]["merges"] as unknown[]).push(["q", "\u0120\u0120q"])),
      "two parts of a token",
    ],
    [
      "two tokens with one id",
      "tokenizer.json",
      tokenizerChange((j) => ((j["model"]["vocab"] as Record<string, number>)["new"] = 5)),
      "should be its own",
    ],
  ];
  for (const [what, file, change, message] of cases) {
    test(what, async () => {
      const error: unknown = await open(changed("hf-llama", file, change)).catch((e: unknown) => e);
      expect(error).toBeInstanceOf(LlmError);
      expect((error as Error).message).toContain(message);
    });
  }
});

test("a token that starts each text comes from the post-processor", async () => {
  const { tokenizer } = await open(
    changed(
      "hf-llama",
      "tokenizer.json",
      tokenizerChange((json) => {
        const single = [{ SpecialToken: { id: "<|endoftext|>" } }, { Sequence: { id: "A" } }];
        json["post_processor"] = {
          type: "Sequence",
          processors: [{ type: "ByteLevel" }, { type: "TemplateProcessing", single }],
        } as never;
      }),
    ),
  );
  expect([tokenizer.addBos, tokenizer.bosTokenId]).toEqual([true, 0]);
});
