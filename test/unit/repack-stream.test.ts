import { describe, expect, it } from "vitest";
import { ModelFormatError, UnsupportedModelError } from "../../src/errors.ts";
import { dequantize } from "../../src/formats/blocks.ts";
import { type TensorInfo } from "../../src/formats/gguf.ts";
import { planarBytes, planarLayout, repackRows } from "../../src/formats/planar.ts";
import { type MatrixChunk, readVector, streamMatrix } from "../../src/formats/stream.ts";
import { BLOCK_SHAPES, TENSOR_TYPES, tensorBytes } from "../../src/formats/tensor-types.ts";
import { bufferSource } from "../../src/hub/sources.ts";
import { seededRandom } from "../random.ts";
import { type PlanarMatrix } from "../reference/planar.ts";
import { randomBlocks } from "../reference/random_blocks.ts";
import { infoOf, rubbishPlanes } from "./matrix-cases.ts";

/** Streams a matrix and puts the chunks together as the engine does: by `planarBytes` of the rows before. */
async function gather(
  source: Parameters<typeof streamMatrix>[0],
  info: TensorInfo,
  maxBytes: number,
): Promise<{ planes: PlanarMatrix; chunks: Pick<MatrixChunk, "rowStart" | "rowCount">[] }> {
  const [rows, cols] = info.shape;
  const layout = planarLayout(info.type);
  const planes = rubbishPlanes(layout, rows, cols);
  const chunks = [];
  for await (const { rowStart, rowCount, quants, scales } of streamMatrix(source, info, {
    maxBytes,
  })) {
    const at = planarBytes(layout, rowStart, cols);
    planes.quants.set(quants, at.quantBytes / 4);
    planes.scales.set(scales, at.scaleBytes / 4);
    chunks.push({ rowStart, rowCount });
  }
  return { planes, chunks };
}

describe("streamMatrix", () => {
  it.each(TENSOR_TYPES)(
    "%s: chunks put together equal the matrix repacked at once",
    async (type) => {
      // 32-blocks: 3 per row, so an odd number; 256-blocks: 1 per row.
      const [rows, cols] = [31, BLOCK_SHAPES[type].elements === 256 ? 256 : 96];
      const src = randomBlocks(type, rows * cols, seededRandom(6));
      const file = new Uint8Array(src.length + 100);
      file.set(src, 100);
      const info = infoOf(type, [rows, cols], 100);
      const rowBytes = tensorBytes(type, cols);
      const { planes, chunks } = await gather(bufferSource(file, "m"), info, rowBytes * 5);
      expect(chunks.length).toBe(8);
      expect(chunks.every((chunk) => chunk.rowStart % 2 === 0)).toBe(true);
      const whole = rubbishPlanes(planarLayout(type), rows, cols);
      repackRows(type, src, rows, cols, whole);
      expect(planes).toEqual(whole);
    },
  );

  it("takes a one-row matrix whole, and reads no more than asked for at a time", async () => {
    const src = randomBlocks("Q8_0", 64, seededRandom(7));
    const { chunks } = await gather(bufferSource(src, "m"), infoOf("Q8_0", [1, 64]), 1 << 20);
    expect(chunks).toEqual([{ rowStart: 0, rowCount: 1 }]);

    const lengths: number[] = [];
    const file = bufferSource(randomBlocks("Q4_0", 64 * 320, seededRandom(8)), "m");
    const counting = {
      ...file,
      read: (offset: number, length: number) => {
        lengths.push(length);
        return file.read(offset, length);
      },
    };
    await gather(counting, infoOf("Q4_0", [64, 320]), 1000);
    expect(Math.max(...lengths)).toBeLessThanOrEqual(1000);
  });

  it("keeps two streams of one source apart, and gives a later one their memory", async () => {
    const [a, b] = [1, 2].map((seed) => randomBlocks("Q4_1", 8 * 64, seededRandom(seed)));
    const source = bufferSource(Uint8Array.from([...a, ...b]), "m");
    const first = streamMatrix(source, infoOf("Q4_1", [8, 64]), { maxBytes: 80 });
    const second = streamMatrix(source, infoOf("Q4_1", [8, 64], a.length), { maxBytes: 80 });
    const whole = [a, b].map((src) => {
      const planes = rubbishPlanes(planarLayout("Q4_1"), 8, 64);
      repackRows("Q4_1", src, 8, 64, planes);
      return planes.quants;
    });
    const memory = new Set<ArrayBufferLike>();
    for (let row = 0; row < 8; row += 2) {
      const [x, y] = [await first.next(), await second.next()].map(({ value }) => value!.quants);
      expect(x).toEqual(whole[0].slice(row * 8, row * 8 + 16));
      expect(y).toEqual(whole[1].slice(row * 8, row * 8 + 16));
      memory.add(x.buffer).add(y.buffer);
    }
    expect([(await first.next()).done, (await second.next()).done]).toEqual([true, true]);
    expect(memory.size).toBe(2);
    for await (const { quants } of streamMatrix(source, infoOf("Q4_1", [8, 64]), {
      maxBytes: 80,
    })) {
      expect(memory.has(quants.buffer)).toBe(true);
    }
  });

  it.each([
    [[4, 48], "F16"],
    [[64], "F16"],
    [[2, 4, 64], "Q8_0"],
  ] as const)("refuses the shape %j by name", async (shape, type) => {
    const info = infoOf(type, shape);
    const refused = gather(bufferSource(new Uint8Array(info.bytes), "m"), info, 1 << 20);
    await expect(refused).rejects.toThrow(UnsupportedModelError);
    await expect(refused).rejects.toThrow("blk.0.w");
  });

  it("refuses rows that no chunk holds", async () => {
    const info = infoOf("F32", [2, 1024]);
    const refused = gather(bufferSource(new Uint8Array(info.bytes), "m"), info, 4096);
    await expect(refused).rejects.toThrow(UnsupportedModelError);
  });

  it("names the tensor whose values f16 cannot hold", async () => {
    const floats = new Float32Array(4 * 64).fill(1);
    floats[200] = 1e6;
    const source = bufferSource(new Uint8Array(floats.buffer), "m.gguf");
    const error = await gather(source, infoOf("F32", [4, 64]), 1 << 20).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(ModelFormatError);
    expect(String(error)).toContain('F32 tensor "blk.0.w"');
    expect(String(error)).toContain("1 values");
  });

  it("stops when the signal is aborted, with its reason", async () => {
    const info = infoOf("Q8_0", [64, 64]);
    const source = bufferSource(randomBlocks("Q8_0", 64 * 64, seededRandom(9)), "m");
    const stop = new AbortController();
    let chunks = 0;
    const run = async (): Promise<void> => {
      for await (const _ of streamMatrix(source, info, { maxBytes: 400 }, stop.signal)) {
        if (++chunks === 3) stop.abort();
      }
    };
    await expect(run()).rejects.toHaveProperty("name", "AbortError");
    expect(chunks).toBe(3);
  });
});

describe("readVector", () => {
  it("reads F32, and other types decoded", async () => {
    const norm = Float32Array.of(1, -2.5, 0, 3e20);
    const source = bufferSource(new Uint8Array(norm.buffer), "m");
    expect(await readVector(source, infoOf("F32", [4]))).toEqual(norm);
    const blocks = randomBlocks("Q8_0", 64, seededRandom(10));
    expect(await readVector(bufferSource(blocks, "m"), infoOf("Q8_0", [64]))).toEqual(
      dequantize("Q8_0", blocks, 64),
    );
  });

  it("refuses matrices, and values that are not finite", async () => {
    const source = bufferSource(new Uint8Array(Float32Array.of(1, NaN, 2, Infinity).buffer), "m");
    await expect(readVector(source, infoOf("F32", [2, 2]))).rejects.toThrow(ModelFormatError);
    await expect(readVector(source, infoOf("F32", [4]))).rejects.toThrow("2 that are not");
  });
});
