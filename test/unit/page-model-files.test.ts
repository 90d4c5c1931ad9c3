import { expect, test } from "vitest";
import { checkModelFiles } from "../../demo/model-files.ts";

const gguf = new File(["GGUF\u0003\0\0\0"], "a.gguf");
const header = '{"a":{}}';
const weights = new File(
  [new Uint8Array([header.length, 0, 0, 0, 0, 0, 0, 0]), header],
  "a.safetensors",
);
const config = new File(["{}"], "config.json");
const tokenizer = new File(["{}"], "tokenizer.json");

test("what begins as a model passes", async () => {
  await checkModelFiles(gguf);
  await checkModelFiles([weights, config, tokenizer]);
});

const gone = Object.assign(new File(["GGUF"], "folder"), {
  slice: () => ({ arrayBuffer: () => Promise.reject(new DOMException("", "NotFoundError")) }),
});

test.each([
  [
    "a PDF",
    new File(["%PDF-1.7 and so on"], "paper.pdf"),
    'paper.pdf: magic should be "GGUF", got 0x46445025',
  ],
  ["an empty file", new File([], "a.gguf"), "got 0 bytes"],
  ["a folder", gone, "folder: can't be read"],
  ["weights alone", [weights], "a.safetensors: came without config.json and tokenizer.json"],
  ["weights without a tokenizer", [weights, config], "came without tokenizer.json"],
  [
    "words as weights",
    [new File(["only some words here"], "b.safetensors"), config, tokenizer],
    "b.safetensors: its header should be",
  ],
  [
    "weights that broke off",
    [
      new File([new Uint8Array([99, 0, 0, 0, 0, 0, 0, 0]), "{"], "c.safetensors"),
      config,
      tokenizer,
    ],
    "its header should be",
  ],
] as const)("%s is refused with what it is", async (_, source, why) => {
  await expect(checkModelFiles(source)).rejects.toThrow(why);
});
