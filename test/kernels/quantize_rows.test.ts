import { describe, expect, test } from "vitest";
import { halfToFloat, floatToHalf } from "../../src/formats/half.ts";
import { tensorLayout } from "../../src/formats/planar.ts";
import { groupedBytes, groupRows, ROW_GROUP } from "../../src/formats/row-groups.ts";
import { type TensorInfo, type TensorType } from "../../src/formats/tensor-types.ts";
import { bufferSource } from "../../src/index.ts";
import { QUANTIZE_CHUNK_BYTES } from "../../src/model/quantize-plan.ts";
import { Quantizer } from "../../src/model/quantizer.ts";
import { openTestDevice, seededRandom } from "../gpu.ts";
import { dequantise } from "../reference/planar.ts";
import { quantizeBlock } from "../reference/quantize_rows.ts";
import { readWords, storageBuffer } from "./buffers.ts";

const gpu = await openTestDevice();

/** Values as a file stores them, and the bytes. */
function stored(type: TensorType, values: Float32Array): [Float32Array, Uint8Array] {
  if (type === "F32") return [values, new Uint8Array(values.buffer.slice(0))];
  const bits = new Uint32Array(values.buffer.slice(0));
  const words = Uint16Array.from(values, (value, i) =>
    type === "F16" ? floatToHalf(value) : bits[i] >>> 16,
  );
  const read = Float32Array.from(words, (word) =>
    type === "F16" ? halfToFloat(word) : new Float32Array(Uint32Array.of(word << 16).buffer)[0],
  );
  return [read, new Uint8Array(words.buffer)];
}

describe.each(["q4", "q8"] as const)("quantize_rows, %s", (quantize) => {
  const cases = [
    { type: "F32", rows: 1, cols: 64, rowStep: 1 },
    { type: "F16", rows: 13, cols: 96, rowStep: 2 },
    { type: "BF16", rows: 37, cols: 160, rowStep: 1 },
  ] as const;
  test.for(cases)("$type, $rows x $cols, step $rowStep", async ({ type, rows, cols, rowStep }) => {
    const random = seededRandom(rows + cols);
    const raw = random.normals(rows * cols, 0.1);
    raw.fill(0.25, 0, 32); // a block without a spread
    const [values, bytes] = stored(type, raw);
    const info: TensorInfo = {
      name: "w",
      type,
      shape: [rows, cols],
      offset: 0,
      bytes: bytes.length,
      quantize,
    };
    const layout = tensorLayout(info);
    // Two slices, the first of whole groups: the rows go to the matrix from row 1 on.
    const total = 1 + rows * rowStep;
    const first = Math.min(ROW_GROUP, total);
    const slices = [
      [0, first],
      [first, total - first],
    ]
      .filter(([, count]) => count > 0)
      .map(([rowStart, count]) => {
        const size = groupedBytes(layout, count, cols);
        const [quants, scales] = [size.quantBytes, size.scaleBytes].map((n) =>
          storageBuffer(gpu, new Uint32Array(n / 4)),
        );
        return { layout, rowStart, rows: count, quants, scales };
      });
    const quantizer = new Quantizer(gpu, QUANTIZE_CHUNK_BYTES);
    const target = { slices, firstRow: 1, rowStep };
    await quantizer.quantize(bufferSource(bytes, "w"), info, target, { onChunk() {} });
    const measured = await quantizer.takeError("w", "w");
    expect(await quantizer.takeError("w", "w")).toBe(0);
    quantizer.destroy();

    const read = new Map(
      await Promise.all(slices.map(async (s) => [s, await rowsOf(s, cols)] as const)),
    );
    let [error, twin, squares] = [0, 0, 0];
    for (let row = 0; row < rows; row++) {
      const at = 1 + row * rowStep;
      const slice = slices.findLast(({ rowStart }) => rowStart <= at)!;
      const from = (at - slice.rowStart) * cols;
      const got = read.get(slice)!.subarray(from, from + cols);
      for (let block = 0; block < cols; block += 32) {
        const w = values.subarray(row * cols + block, row * cols + block + 32);
        const expected = quantizeBlock(w, quantize === "q4" ? 4 : 8);
        const own = w.reduce((sum, value, i) => sum + (got[block + i] - value) ** 2, 0);
        // A tie may round the other way on the GPU; no block may be worse for it.
        expect(own, `row ${row}, block ${block}`).toBeLessThanOrEqual(
          expected.error * 1.001 + 1e-12,
        );
        error += own;
        twin += expected.error;
        squares += w.reduce((sum, value) => sum + value * value, 0);
      }
    }
    expect(Math.abs(error - twin)).toBeLessThan(twin * 1e-3);
    expect(measured).toBeCloseTo(Math.sqrt(error / squares), 5);
    expect(measured).toBeLessThan(quantize === "q4" ? 0.11 : 0.01);
  });

  test("numbers that are none, or too large, are refused", async () => {
    for (const [type, value] of [
      ["F32", NaN],
      ["F16", Infinity],
      ["F32", 1e9],
    ] as const) {
      const [, bytes] = stored(type, new Float32Array(64).fill(0.5).fill(value, 40, 41));
      const info: TensorInfo = {
        name: "w",
        type,
        shape: [2, 32],
        offset: 0,
        bytes: bytes.length,
        quantize,
      };
      const layout = tensorLayout(info);
      const size = groupedBytes(layout, 2, 32);
      const [quants, scales] = [size.quantBytes, size.scaleBytes].map((n) =>
        storageBuffer(gpu, new Uint32Array(n / 4)),
      );
      const slices = [{ layout, rowStart: 0, rows: 2, quants, scales }];
      const quantizer = new Quantizer(gpu, QUANTIZE_CHUNK_BYTES);
      const target = { slices, firstRow: 0, rowStep: 1 };
      await quantizer.quantize(bufferSource(bytes, "w"), info, target, { onChunk() {} });
      await expect(quantizer.takeError("w", "w")).rejects.toThrow("within the range of f16");
      quantizer.destroy();
    }
  });
});

type Slice = Parameters<Quantizer["quantize"]>[2]["slices"][number];

/** The rows of a slice, dequantised: the groups are undone by finding where each element went. */
async function rowsOf(
  { layout, rows, quants, scales }: Slice,
  cols: number,
): Promise<Float32Array> {
  const padded = Math.ceil(rows / ROW_GROUP) * ROW_GROUP;
  const planes = [quants, scales].map((buffer) =>
    Uint32Array.from({ length: buffer.size / 4 }, (_, i) => i),
  );
  const places = planes.map((plane) => new Uint16Array(plane.length * 2).map((_, i) => i));
  const [q, s] = [new Uint32Array(planes[0].length), new Uint32Array(planes[1].length)];
  const [from, to] = [
    { quants: new Uint32Array(places[0].buffer), scales: new Uint32Array(places[1].buffer) },
    { quants: q, scales: s },
  ];
  groupRows(layout, from, padded, cols, to);
  const undo = (words: Uint32Array, map: Uint32Array): Uint32Array<ArrayBuffer> => {
    const [halves, order] = [words, map].map(
      (w) => new Uint16Array(w.buffer, w.byteOffset, w.length * 2),
    );
    const out = new Uint16Array(halves.length);
    order.forEach((source, at) => (out[source] = halves[at]));
    return new Uint32Array(out.buffer);
  };
  const matrix = {
    layout,
    rows: padded,
    cols,
    quants: undo(await readWords(gpu, quants), q),
    scales: undo(await readWords(gpu, scales), s),
  };
  return dequantise(matrix);
}
