import { describe, expect, it } from "vitest";
import { ModelFormatError, UnsupportedModelError } from "../../src/errors.ts";
import { type ByteSource } from "../../src/formats/byte-source.ts";
import { type GgufFile, readGguf } from "../../src/formats/gguf.ts";
import { TENSOR_TYPES, tensorBytes } from "../../src/formats/tensor-types.ts";
import { bufferSource } from "../../src/hub/sources.ts";
import { sampleGguf } from "../reference/sample_gguf.ts";
import { buildGguf, type GgufContent, type GgufTensor } from "../reference/write_gguf.ts";

function read(bytes: Uint8Array): Promise<GgufFile> {
  return readGguf(bufferSource(bytes, "m.gguf"));
}

/** Writes a file, puts `bytes` into it (`at` counts from the end of the first `text` in it), and reads it. */
function damaged(
  content: GgufContent,
  text: string,
  at: number,
  bytes: readonly number[],
): Promise<GgufFile> {
  const file = buildGguf(content);
  const found = Buffer.from(file).indexOf(text);
  expect(found).toBeGreaterThan(0);
  file.set(bytes, found + Buffer.byteLength(text) + at);
  return read(file);
}

const u64 = (value: bigint): number[] => [...new Uint8Array(BigUint64Array.of(value).buffer)];
const u32 = (value: number): number[] => [...new Uint8Array(Uint32Array.of(value).buffer)];

function tensor(name: string, overrides: Partial<GgufTensor> = {}): GgufTensor {
  return { name, type: "F32", shape: [2, 32], data: new Uint8Array(256), ...overrides };
}

/** The ModelFormatError that reading must end in; its field and message. */
async function expectFormatError(reading: Promise<unknown>): Promise<ModelFormatError> {
  const error = await reading.then(
    () => new Error("it was read"),
    (reason: unknown) => reason,
  );
  if (!(error instanceof ModelFormatError))
    throw new Error("no ModelFormatError", { cause: error });
  expect(error.file).toBe("m.gguf");
  return error;
}

describe("readGguf refuses", () => {
  const sample = buildGguf(sampleGguf());

  it("another magic", async () => {
    const error = await expectFormatError(read(Uint8Array.from(sample).fill(0x50, 0, 1)));
    expect(error).toMatchObject({ field: "magic", expected: '"GGUF"', got: "0x46554750" });
    expect(error.message).toContain("fetch it again");
  });

  it("an empty file, and every truncation of a sound one", async () => {
    for (let length = 0; length < sample.length - 32; length += length < 3000 ? 1 : 97) {
      await expectFormatError(read(sample.subarray(0, length)));
    }
  });

  it.each([
    [1, "GGUF version 1"],
    [4, "GGUF version 4"],
    [0x03000000, "big-endian"],
  ])("version %i as unsupported", async (version, message) => {
    const bytes = Uint8Array.from(sample);
    bytes.set(u32(version), 4);
    const refused = read(bytes);
    await expect(refused).rejects.toThrow(UnsupportedModelError);
    await expect(refused).rejects.toThrow(message);
  });

  it("a version that is nonsense", async () => {
    const bytes = Uint8Array.from(sample);
    bytes.set(u32(0x12345678), 4);
    expect((await expectFormatError(read(bytes))).field).toBe("version");
  });

  it.each([
    ["tensor count", 8, 65_537n, "at most 65536"],
    ["tensor count", 8, 2n ** 63n, "under 2^53"],
    ["tensor table", 8, 60_000n, "inside the file"],
    ["metadata count", 16, 65_537n, "at most 65536"],
    ["metadata count", 16, 2n ** 64n - 1n, "under 2^53"],
    ["metadata", 16, 60_000n, "inside the file"],
    ["metadata key 0", 24, 2n ** 32n, "at most 65535"],
    ["metadata key 0", 24, 60_000n, "inside the file"],
  ])("an absurd %s (byte %i set to %i)", async (field, at, value, expected) => {
    const bytes = Uint8Array.from(sample);
    bytes.set(u64(value), at);
    const error = await expectFormatError(read(bytes));
    expect(error.field).toBe(field);
    expect(error.expected).toContain(expected);
  });

  // `at` counts from the end of the key or name: type (4), then the value.
  it.each([
    ["a value type that doesn't exist", "test.u8", 0, u32(13), "type 13"],
    ["an array of a type that doesn't exist", "test.counts", 4, u32(77), "type 77"],
    ["a boolean that is none", "tokenizer.ggml.add_bos_token", 4, [2], "2"],
    ["a string past the end", "general.name", 4, u64(999_999n), "999999 bytes at"],
    ["a string of 4 GB", "general.name", 4, u64(2n ** 32n), "4294967296 bytes"],
    ["an array of 2^40", "tokenizer.ggml.tokens", 8, u64(2n ** 40n), "1099511627776 elements"],
    ["numbers past the end", "tokenizer.ggml.scores", 8, u64(1_999_999n), "the file has"],
    ["strings past the end", "tokenizer.ggml.merges", 8, u64(1_999_999n), "the file has"],
    ["booleans past the end", "test.flags", 8, u64(1_999_999n), "the file has"],
    ["arrays past the end", "test.nested", 8, u64(1_999_999n), "the file has"],
    ["a string that isn't UTF-8", "general.name", 12, [0xff, 0xfe], "bytes that are none"],
    ["a token that isn't UTF-8", "tokenizer.ggml.tokens", 24, [0xc0, 0x80], "bytes that are none"],
  ])("%s", async (_, key, at, bytes, message) => {
    const error = await expectFormatError(damaged(sampleGguf(), key, at, bytes));
    expect(error.field).toContain(key);
    expect(error.message).toContain(message);
  });

  it("arrays nested too deep", async () => {
    const metadata = { deep: [[[[["x"]]]]] };
    const error = await expectFormatError(read(buildGguf({ metadata, tensors: [] })));
    expect(error.expected).toContain("nested at most 4");
  });

  it("metadata of more than 64 MB, before reading all of it", async () => {
    // Five arrays of 2,000,000 zeros, 16 MB each, in a file that is made up while it is read.
    const array = 2_000_000 * 8;
    const file = buildGguf({ metadata: { a: new Float64Array(0) }, tensors: [] });
    const [header, key] = [Uint8Array.from(file.subarray(0, 24)), file.slice(24)];
    header.set(u64(5n), 16);
    key.set(u64(2_000_000n), key.length - 8);
    let most = 0;
    const source: ByteSource = {
      name: "m.gguf",
      size: 2 ** 40,
      read: async (offset, length) => {
        most = Math.max(most, offset + length);
        const bytes = new Uint8Array(length);
        const overlay = (piece: Uint8Array, at: number): void => {
          for (let i = 0; i < piece.length; i++) {
            const to = at + i - offset;
            if (to >= 0 && to < length) bytes[to] = piece[i];
          }
        };
        overlay(header, 0);
        for (let i = 0; i < 5; i++) {
          key[8] = 0x61 + i;
          overlay(key, 24 + i * (key.length + array));
        }
        return bytes;
      },
    };
    const error = await expectFormatError(readGguf(source));
    expect(error.field).toBe('metadata "e"');
    expect(error.got).toContain("the header may take 67108864 bytes");
    expect(most).toBeLessThanOrEqual(64 * 1024 * 1024);
  });

  it("the same key twice, and an empty key", async () => {
    const content = { metadata: { "key.a": 1, "key.b": 2 }, tensors: [] };
    expect((await expectFormatError(damaged(content, "key.b", -1, [0x61]))).got).toBe('"key.a"');
    expect(
      (await expectFormatError(read(buildGguf({ metadata: { "": 1 }, tensors: [] })))).got,
    ).toBe("none");
  });

  it.each([0, 4, 33, 2 ** 21, "32", true])("general.alignment %j", async (alignment) => {
    const metadata = { "general.alignment": alignment };
    const error = await expectFormatError(read(buildGguf({ metadata, tensors: [] })));
    expect(error.field).toBe("general.alignment");
  });

  it("the same tensor twice, and one without a name", async () => {
    const twice = { metadata: {}, tensors: [tensor("w"), tensor("w")] };
    expect((await expectFormatError(read(buildGguf(twice)))).got).toBe('"w"');
    const unnamed = { metadata: {}, tensors: [tensor("")] };
    expect((await expectFormatError(read(buildGguf(unnamed)))).field).toBe("name of tensor 0");
  });

  // After a name: rank (4), dimensions (8 each), type (4), offset (8).
  it.each([
    ["no dimension", 0, u32(0), "of 1 to 4 dimensions"],
    ["five dimensions", 0, u32(5), "of 1 to 4 dimensions"],
    ["an empty dimension", 4, u64(0n), "1 to 2^53 elements"],
    ["a dimension over 2^53", 4, u64(2n ** 60n), "under 2^53"],
    ["a product over 2^53", 4, u64(2n ** 53n - 1n), "1 to 2^53 elements"],
    ["a row of half a block", 4, u64(48n), "whole Q8_0 blocks of 32"],
    ["an unaligned offset", 24, u64(33n), "a multiple of 32"],
    ["an offset over 2^53", 24, u64(2n ** 62n), "under 2^53"],
    ["an offset past the end", 24, u64(2n ** 52n), "inside the file"],
    ["more rows than the file has", 12, u64(1_000_000n), "inside the file"],
  ])("a tensor with %s", async (_, at, bytes, expected) => {
    const data = new Uint8Array(tensorBytes("Q8_0", 128));
    const content = {
      metadata: {},
      tensors: [tensor("w.first", { type: "Q8_0", shape: [2, 64], data })],
    };
    const error = await expectFormatError(damaged(content, "w.first", at, bytes));
    expect(error.field).toContain("w.first");
    expect(error.expected).toContain(expected);
  });

  it("tensors that overlap", async () => {
    const content = { metadata: {}, tensors: [tensor("w.a"), tensor("w.b")] };
    const error = await expectFormatError(damaged(content, "w.b", 24, u64(224n)));
    expect(error.field).toBe('tensor "w.b"');
    expect(error.expected).toContain('after tensor "w.a"');
  });

  it.each([
    [20, "type IQ4_NL"],
    [26, "type I32"],
    [4, "type number 4"],
    [4_000_000_000, "type number 4000000000"],
  ])("tensor type %i, naming it, the tensor and what is read", async (id, message) => {
    const refused = damaged({ metadata: {}, tensors: [tensor("w.x")] }, "w.x", 20, u32(id));
    const error: unknown = await refused.catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(UnsupportedModelError);
    expect(error).toMatchObject({ supported: TENSOR_TYPES });
    expect(String(error)).toContain(`${message} of tensor "w.x"`);
  });

  it("one part of a split model", async () => {
    const metadata = { "split.count": { type: "u16", value: 3 } } as const;
    const refused = read(buildGguf({ metadata, tensors: [] }));
    await expect(refused).rejects.toThrow(UnsupportedModelError);
    await expect(refused).rejects.toThrow("3 GGUF files");
  });

  it("text from the file only shortened and escaped", async () => {
    const name = `\u001b[31m${"x".repeat(120)}`;
    const error = await expectFormatError(
      read(buildGguf({ metadata: {}, tensors: [tensor(name), tensor(name)] })),
    );
    expect(error.got.length).toBeLessThan(100);
    expect(error.got.includes("\u001b")).toBe(false);
  });
});
