import { describe, expect, test } from "vitest";
import { ChatTemplateError, ModelFormatError, UnsupportedModelError } from "../../src/errors.ts";
import type { GgufValue } from "../../src/formats/gguf.ts";
import { createTokenizer } from "../../src/text/tokenizer.ts";
import { readGolden } from "../golden/format.ts";
import { tinyMetadata } from "./tiny-vocabulary.ts";

const golden = readGolden("tokens-tiny");
const tokens = golden.vocabulary.map(({ text }) => text);
const utf8 = new TextDecoder();

function tiny(changes?: Readonly<Record<string, GgufValue | undefined>>) {
  return createTokenizer(tinyMetadata(golden, changes), "tiny.gguf");
}

describe("pre-tokenizers", () => {
  const names = golden.groups.flatMap((group) => group.names.map((name) => ({ name, ...group })));

  test("the vocabulary tells all of them apart", () => {
    const answers = golden.groups.map(({ ids }) => JSON.stringify(ids));
    expect(new Set(answers).size).toBe(golden.groups.length);
    expect(golden.texts.length).toBeGreaterThan(400);
  });

  test.each(names)("$name gives llama.cpp's ids", ({ name, ids }) => {
    const tokenizer = tiny({ "tokenizer.ggml.pre": name });
    for (const [i, text] of golden.texts.entries()) {
      expect({ text, ids: [...tokenizer.encode(text)] }).toEqual({ text, ids: ids[i] });
    }
  });

  test("another name is refused, with the names that aren't", () => {
    const attempt = () => tiny({ "tokenizer.ggml.pre": "tekken" });
    expect(attempt).toThrow(UnsupportedModelError);
    expect(attempt).toThrow(/tiny.gguf: pre-tokenizer "tekken".*smollm, .*qwen2, .*llama-bpe/);
    expect(() => tiny({ "tokenizer.ggml.pre": "constructor" })).toThrow(UnsupportedModelError);
    expect(() => tiny({ "tokenizer.ggml.pre": undefined })).toThrow(ModelFormatError);
  });
});

describe("tokens", () => {
  const tokenizer = tiny();

  test("ends, control tokens and bytes are llama.cpp's", () => {
    const { count, ends, controls, bytes } = golden.tokens;
    expect(tokenizer.vocabSize).toBe(count);
    expect([...tokenizer.eosTokenIds].sort((a, b) => a - b)).toEqual(ends);
    expect(tokens.flatMap((_, id) => (tokenizer.isControl(id) ? [id] : []))).toEqual(controls);
    for (const [id, hex] of bytes) {
      expect([id, Buffer.from(tokenizer.tokenBytes(id)).toString("hex")]).toEqual([id, hex]);
    }
  });

  test("the tokens of a text spell its bytes", () => {
    for (const text of golden.texts) {
      const bytes = [...tokenizer.encode(text)].flatMap((id) => [...tokenizer.tokenBytes(id)]);
      expect(utf8.decode(Uint8Array.from(bytes))).toBe(utf8.decode(Buffer.from(text)));
    }
  });

  test("tokens of every kind", () => {
    const of = (kind: number, text: string) => {
      const types = Int32Array.from(golden.vocabulary, (token) => token.kind);
      types[0] = kind;
      const other = tiny({
        "tokenizer.ggml.tokens": [text, ...tokens.slice(1)],
        "tokenizer.ggml.token_type": types,
        "tokenizer.ggml.merges": [],
      });
      return { bytes: utf8.decode(other.tokenBytes(0)), control: other.isControl(0) };
    };
    expect(of(1, "ĠæĹ¥")).toEqual({ bytes: " 日", control: false });
    expect(of(2, "<unk>")).toEqual({ bytes: "", control: true });
    expect(of(3, "<x>")).toEqual({ bytes: "", control: true });
    expect(of(4, "日 <x>")).toEqual({ bytes: "日 <x>", control: false });
    expect(of(5, "[PAD9]")).toEqual({ bytes: "", control: false });
    expect(of(6, "<0x4A>")).toEqual({ bytes: "J", control: false });
  });

  test("a token outside the vocabulary is a bug of the caller", () => {
    expect(() => tokenizer.tokenBytes(tokens.length)).toThrow(/outside the vocabulary/);
  });
});

describe("control tokens", () => {
  const text = "a<|im_end|>\n<|im_start|>system\n<tool>";
  const [start, end, tool] = ["<|im_start|>", "<|im_end|>", "<tool>"].map((t) => tokens.indexOf(t));

  test("are text, unless asked for", () => {
    const tokenizer = tiny();
    const asText = [...tokenizer.encode(text)];
    expect(asText.filter((id) => tokenizer.isControl(id))).toEqual([]);
    expect(asText.at(-1)).toBe(tool);
    const asTokens = [...tokenizer.encode(text, { specialTokens: true })];
    expect(asTokens.filter((id) => tokenizer.isControl(id))).toEqual([end, start]);
  });

  test("no merge and no whole word makes one", () => {
    const control = tokens.findIndex((token) => token === "er");
    const types = Int32Array.from(golden.vocabulary, ({ kind }) => kind);
    types[control] = 3;
    for (const pre of ["gpt-2", "llama-bpe"]) {
      const tokenizer = tiny({
        "tokenizer.ggml.pre": pre,
        "tokenizer.ggml.token_type": types,
      });
      const ids = [...tokenizer.encode("er her better er")];
      expect(ids).not.toContain(control);
      expect([...tokenizer.encode("er", { specialTokens: true })]).toEqual([control]);
    }
  });

  test("end tokens are known by their spelling, too", () => {
    const eos = { "tokenizer.ggml.eos_token_id": tokens.indexOf("a") };
    const ids = [...tiny(eos).eosTokenIds].sort((a, b) => a - b);
    const named = ["a", "<|endoftext|>", "<|im_end|>"].map((token) => tokens.indexOf(token));
    expect(ids).toEqual(named.sort((a, b) => a - b));
    const types = new Int32Array(tokens.length).fill(1);
    const untyped = tiny({ "tokenizer.ggml.token_type": types });
    expect(untyped.isControl(tokens.indexOf("<|im_end|>"))).toBe(true);
    expect(untyped.isControl(tokens.indexOf("<|im_start|>"))).toBe(false);
  });
});

describe("the BOS token", () => {
  test("is asked for by the file, or else by the pre-tokenizer", () => {
    expect(tiny().addBos).toBe(false);
    expect(tiny().bosTokenId).toBe(tokens.indexOf("<|endoftext|>"));
    expect(tiny({ "tokenizer.ggml.pre": "llama-bpe" }).addBos).toBe(true);
    const off = { "tokenizer.ggml.pre": "llama-bpe", "tokenizer.ggml.add_bos_token": false };
    expect(tiny(off).addBos).toBe(false);
    expect(tiny({ "tokenizer.ggml.bos_token_id": undefined }).bosTokenId).toBeUndefined();
  });

  test("stands at the start of a chat once", () => {
    const bos = tokens.indexOf("<|endoftext|>");
    const count = (template: string) => {
      const changes = { "tokenizer.ggml.add_bos_token": true, "tokenizer.chat_template": template };
      const ids = [...tiny(changes).encodeChat([{ role: "user", content: "hi" }])];
      return { first: ids[0], count: ids.filter((id) => id === bos).length };
    };
    expect(count("{{ messages[0].content }}")).toEqual({ first: bos, count: 1 });
    expect(count("{{ bos_token }}{{ messages[0].content }}")).toEqual({ first: bos, count: 1 });
  });
});

describe("a chat", () => {
  const chat = (template: string | undefined) =>
    tiny({ "tokenizer.chat_template": template }).encodeChat([{ role: "user", content: "hi" }]);

  test("needs a template, which is read when it is needed", () => {
    expect(() => chat(undefined)).toThrow(ChatTemplateError);
    expect(() => chat(undefined)).toThrow(/no chat template; use a raw prompt/);
    expect(() => chat("{% if %}")).toThrow(ChatTemplateError);
    expect(() => tiny({ "tokenizer.chat_template": "{% if %}" })).not.toThrow();
  });

  test("ends with the start of an answer, unless told otherwise", () => {
    const template =
      "{{ messages[0].content }}{% if add_generation_prompt %}<|im_start|>{% endif %}";
    const tokenizer = tiny({ "tokenizer.chat_template": template });
    const messages = [{ role: "user", content: "hi" }] as const;
    const start = tokens.indexOf("<|im_start|>");
    const text = [...tokenizer.encode("hi")];
    expect([...tokenizer.encodeChat(messages)]).toEqual([...text, start]);
    expect([...tokenizer.encodeChat(messages, { addGenerationPrompt: false })]).toEqual(text);
  });
});

describe("bad metadata", () => {
  const types = Int32Array.from(golden.vocabulary, ({ kind }) => kind);
  const cases: [string, Readonly<Record<string, GgufValue | undefined>>, RegExp][] = [
    ["no tokenizer", { "tokenizer.ggml.model": undefined }, /tokenizer.ggml.model/],
    ["tokens as numbers", { "tokenizer.ggml.tokens": types }, /tokens.* array of strings/],
    ["no merges", { "tokenizer.ggml.merges": undefined }, /merges/],
    ["a merge of one part", { "tokenizer.ggml.merges": ["ab"] }, /merges" 0.*two parts/],
    ["a merge to nothing", { "tokenizer.ggml.merges": ["ÿ ÿ"] }, /merges" 0.*"ÿ ÿ"/],
    ["too few types", { "tokenizer.ggml.token_type": types.subarray(1) }, /one per token/],
    ["a token twice", { "tokenizer.ggml.tokens": [...tokens, "a"] }, /"a" as \d+ and \d+/],
    ["an id too high", { "tokenizer.ggml.eos_token_id": tokens.length }, /an id under/],
    [
      "a BOS token that isn't there",
      { "tokenizer.ggml.add_bos_token": true, "tokenizer.ggml.bos_token_id": undefined },
      /bos_token_id/,
    ],
  ];

  test.each(cases)("%s is refused", (_, changes, message) => {
    expect(() => tiny(changes)).toThrow(ModelFormatError);
    expect(() => tiny(changes)).toThrow(message);
  });

  test("another kind of tokenizer is refused by name", () => {
    const attempt = () => tiny({ "tokenizer.ggml.model": "llama" });
    expect(attempt).toThrow(UnsupportedModelError);
    expect(attempt).toThrow(/tokenizer "llama"/);
  });
});

test("100,000 characters take well under two seconds", () => {
  const tokenizer = tiny();
  const prose = golden.texts.join(" ").repeat(20).slice(0, 100_000);
  // Long runs are one word: a merge loop that isn't O(n log n) would take minutes.
  for (const [text, seconds] of [
    [prose, 2],
    ["a".repeat(100_000), 15],
    [" ".repeat(100_000), 15],
  ] as const) {
    const started = performance.now();
    expect(tokenizer.encode(text).length).toBeGreaterThan(1000);
    expect(performance.now() - started).toBeLessThan(seconds * 1000);
  }
});
