import { describe, expect, it } from "vitest";
import { type ByteSource } from "../../src/formats/byte-source.ts";
import { type GgufFile, readGguf } from "../../src/formats/gguf.ts";
import { streamMatrix } from "../../src/formats/stream.ts";
import { TENSOR_TYPES, tensorBytes } from "../../src/formats/tensor-types.ts";
import { bufferSource } from "../../src/hub/sources.ts";
import { seededRandom } from "../random.ts";
import { randomBlocks } from "../reference/random_blocks.ts";
import { sampleGguf, SAMPLE_METADATA } from "../reference/sample_gguf.ts";
import { buildGguf, type GgufTensor } from "../reference/write_gguf.ts";

function read(bytes: Uint8Array): Promise<GgufFile> {
  return readGguf(bufferSource(bytes, "m.gguf"));
}

function tensor(name: string, overrides: Partial<GgufTensor> = {}): GgufTensor {
  return { name, type: "F32", shape: [2, 32], data: new Uint8Array(256), ...overrides };
}

describe("readGguf", () => {
  it.each([2, 3] as const)("reads every value type of a version %i file", async (version) => {
    const { metadata, ...file } = await read(buildGguf({ ...sampleGguf(), version }));
    expect(file.version).toBe(version);
    expect(file.name).toBe("m.gguf");
    expect([...metadata.keys()]).toEqual(Object.keys(SAMPLE_METADATA));
    const plain = Object.entries(SAMPLE_METADATA).map(([key, field]) => {
      if (typeof field !== "object" || !("type" in field)) return [key, field];
      const value = field.type === "f32" ? Math.fround(Number(field.value)) : field.value;
      return [key, value];
    });
    expect(Object.fromEntries(metadata)).toEqual(Object.fromEntries(plain));
    expect(metadata.get("test.u64.large")).toBe(2n ** 63n + 1n);
    expect((metadata.get("tokenizer.ggml.tokens") as string[])[2]).toBe("\u{feff}bom");
  });

  it("gives shapes outermost first, and absolute offsets of the very bytes", async () => {
    const content = sampleGguf();
    const bytes = buildGguf(content);
    const { tensors } = await read(bytes);
    expect([...tensors.keys()]).toEqual(content.tensors.map(({ name }) => name));
    for (const { name, type, shape, data } of content.tensors) {
      const info = tensors.get(name)!;
      expect(info).toMatchObject({ name, type, shape, bytes: data.length });
      expect(info.offset % 32).toBe(0);
      expect(bytes.slice(info.offset, info.offset + info.bytes)).toEqual(data);
    }
  });

  it.each(TENSOR_TYPES)("knows the size of %s", async (type) => {
    const shape = [3, 2, 512];
    const data = randomBlocks(type, 3072, seededRandom(1));
    const { tensors } = await read(
      buildGguf({ metadata: {}, tensors: [{ name: "t", type, shape, data }] }),
    );
    expect(tensors.get("t")).toMatchObject({ type, shape, bytes: tensorBytes(type, 3072) });
  });

  it.each([8, 64, 4096])("honours general.alignment %i", async (alignment) => {
    const content = sampleGguf();
    const metadata = { ...content.metadata, "general.alignment": alignment };
    const bytes = buildGguf({ ...content, metadata });
    const { tensors } = await read(bytes);
    for (const { name, data } of content.tensors) {
      const { offset } = tensors.get(name)!;
      expect(offset % alignment).toBe(0);
      expect(bytes.slice(offset, offset + data.length)).toEqual(data);
    }
  });

  it("reads a file of metadata alone, and one whose last tensor isn't padded", async () => {
    const { tensors } = await read(buildGguf({ metadata: { a: 1 }, tensors: [] }));
    expect(tensors.size).toBe(0);
    const odd = tensor("t", { shape: [1], data: new Uint8Array(4) });
    expect((await read(buildGguf({ metadata: {}, tensors: [odd] }))).tensors.size).toBe(1);
  });

  it("reads a large vocabulary through its window, and little of the tensors", async () => {
    const tokens = Array.from({ length: 150_000 }, (_, i) => `Ġtoken${i}${"x".repeat(i % 7)}`);
    const types = Int32Array.from({ length: 150_000 }, (_, i) => i % 6);
    const long = "{{ x }}".repeat(100_000);
    const metadata = { tokens, types, long, last: 7 };
    const data = new Uint8Array(4 * 1024 * 1024);
    const bytes = buildGguf({ metadata, tensors: [tensor("t", { shape: [1024, 1024], data })] });
    let asked = 0;
    const plain = bufferSource(bytes, "m.gguf");
    const source: ByteSource = {
      ...plain,
      read: (offset, length, signal) => {
        asked += length;
        return plain.read(offset, length, signal);
      },
    };
    const start = performance.now();
    const file = await readGguf(source);
    const ms = performance.now() - start;
    console.log(
      `header of ${((bytes.length - data.length) / 1e6).toFixed(1)} MB: ${ms.toFixed(0)} ms`,
    );
    expect(file.metadata.get("tokens")).toEqual(tokens);
    expect(file.metadata.get("types")).toEqual(types);
    expect(file.metadata.get("long")).toBe(long);
    expect(file.metadata.get("last")).toBe(7);
    expect(asked).toBeLessThan(bytes.length - data.length + 1024 * 1024);
    expect(ms).toBeLessThan(3000);
  });

  it("stops at an aborted signal", async () => {
    const source = bufferSource(buildGguf(sampleGguf()), "m.gguf");
    await expect(readGguf(source, AbortSignal.abort())).rejects.toHaveProperty(
      "name",
      "AbortError",
    );
  });
});

describe("a tiny model, written, read and streamed", () => {
  it("gives every matrix back", async () => {
    const content = sampleGguf();
    const source = bufferSource(buildGguf(content), "m.gguf");
    const { tensors } = await readGguf(source);
    let rows = 0;
    for (const info of tensors.values()) {
      if (info.shape.length !== 2) continue;
      for await (const chunk of streamMatrix(source, info)) rows += chunk.rowCount;
    }
    expect(rows).toBe(32 + 64 + 3 + 5 + 2 + 1);
  });
});
