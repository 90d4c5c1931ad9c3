import { beforeAll, describe, expect, it } from "vitest";
import { ModelFormatError } from "../../src/errors.ts";
import { type GgufFile, readGguf } from "../../src/formats/gguf.ts";
import {
  getBool,
  getFloat,
  getNumbers,
  getString,
  getStrings,
  getUint,
} from "../../src/formats/metadata.ts";
import { bufferSource } from "../../src/hub/sources.ts";
import { sampleGguf } from "../reference/sample_gguf.ts";
import { buildGguf } from "../reference/write_gguf.ts";

let file: GgufFile;
beforeAll(async () => {
  file = await readGguf(bufferSource(buildGguf(sampleGguf()), "m.gguf"));
});

describe("metadata getters", () => {
  it("give values of their type", () => {
    expect(getString(file, "general.architecture")).toBe("llama");
    expect(getUint(file, "llama.block_count")).toBe(2);
    expect(getUint(file, "test.u64")).toBe(2 ** 40);
    expect(getFloat(file, "test.f64")).toBe(Math.PI);
    expect(getFloat(file, "test.i64")).toBe(-(2 ** 50));
    expect(getBool(file, "tokenizer.ggml.add_bos_token")).toBe(false);
    expect(getStrings(file, "tokenizer.ggml.merges")).toHaveLength(16);
    expect(getStrings(file, "test.empty")).toEqual([]);
    expect(getNumbers(file, "tokenizer.ggml.token_type")).toBeInstanceOf(Int32Array);
    expect(getNumbers(file, "test.counts")).toEqual(Float64Array.of(1, 2 ** 52));
  });

  it("give the fallback for a missing key only", () => {
    expect(getString(file, "none", "other")).toBe("other");
    expect(getUint(file, "none", undefined)).toBeUndefined();
    expect(getFloat(file, "none", null)).toBeNull();
    expect(getBool(file, "tokenizer.ggml.add_bos_token", true)).toBe(false);
    expect(() => getUint(file, "none")).toThrow(ModelFormatError);
    expect(() => getUint(file, "none")).toThrow('metadata "none" should be a whole number');
  });

  it.each([
    ["a string", () => getString(file, "llama.block_count", "x"), "number"],
    ["a whole number", () => getUint(file, "test.f64", 0), "3.14"],
    ["not negative", () => getUint(file, "test.i8"), "-100"],
    ["a whole number", () => getUint(file, "test.u64.large"), "9223372036854775809"],
    ["a finite number", () => getFloat(file, "general.name"), "Sample"],
    ["a boolean", () => getBool(file, "llama.block_count"), "number"],
    ["an array of strings", () => getStrings(file, "tokenizer.ggml.scores"), "32 numbers"],
    ["an array of strings", () => getStrings(file, "general.name"), "string"],
    ["an array of numbers", () => getNumbers(file, "tokenizer.ggml.merges"), "16 strings"],
    ["an array of numbers", () => getNumbers(file, "test.nested"), "an array of 3"],
  ])("refuse what isn't %s", (expected, get, got) => {
    expect(get).toThrow(ModelFormatError);
    expect(get).toThrow(expected);
    expect(get).toThrow(got);
  });

  it("refuse 64-bit numbers that doubles cannot hold", async () => {
    const metadata = {
      counts: BigUint64Array.of(1n, 2n ** 60n + 1n),
      inf: { type: "f32", value: Infinity },
    } as const;
    const other = await readGguf(bufferSource(buildGguf({ metadata, tensors: [] }), "m.gguf"));
    expect(() => getNumbers(other, "counts")).toThrow("numbers under 2^53");
    expect(() => getFloat(other, "inf")).toThrow("a finite number");
  });
});
