import { describe, expect, test } from "vitest";
import { dequantize } from "../../src/formats/blocks.ts";
import { commonLayout } from "../../src/formats/common-layout.ts";
import { planarBytes, planarLayout } from "../../src/formats/planar.ts";
import { TENSOR_TYPES, tensorBytes, type TensorType } from "../../src/formats/tensor-types.ts";
import { bufferSource } from "../../src/hub/sources.ts";
import { interleavedRows } from "../../src/model/row-runs.ts";
import { expectClose } from "../expect-close.ts";
import { seededRandom } from "../random.ts";
import { dequantise } from "../reference/planar.ts";
import { randomBlocks } from "../reference/random_blocks.ts";
import { infoOf, rubbishPlanes } from "./matrix-cases.ts";

/** Two random matrices of one shape, streamed as gate and up; and the rows that should come out. */
async function interleave(
  types: readonly [TensorType, TensorType],
  rows: number,
  cols: number,
): Promise<{ actual: Float32Array; expected: Float32Array; readBytes: number }> {
  const random = seededRandom(3);
  const parts = types.map((type) => randomBlocks(type, rows * cols, random));
  const source = bufferSource(Buffer.concat(parts), "m");
  const infos = types.map((type, i) => infoOf(type, [rows, cols], i * parts[0].length));
  const [run] = interleavedRows(infos[0], infos[1]);
  const planes = rubbishPlanes(run.layout, 2 * rows, cols);
  let readBytes = 0;
  const onBytes = (bytes: number) => (readBytes += bytes);
  for await (const chunk of run.chunks(source, { onBytes })) {
    const at = planarBytes(run.layout, chunk.rowStart, cols);
    planes.quants.set(chunk.quants, at.quantBytes / 4);
    planes.scales.set(chunk.scales, at.scaleBytes / 4);
  }
  expect(run.rows).toBe(2 * rows);
  const values = parts.map((part, i) => dequantize(types[i], part, rows * cols));
  const expected = new Float32Array(2 * rows * cols);
  for (let row = 0; row < 2 * rows; row++) {
    const from = Math.floor(row / 2) * cols;
    expected.set(values[row % 2].subarray(from, from + cols), row * cols);
  }
  return { actual: dequantise(planes), expected, readBytes };
}

const PAIRS = TENSOR_TYPES.flatMap((gate) => TENSOR_TYPES.map((up) => [gate, up] as const));

/** Rounding of one value, or of one product of scales, to f16. */
const HALF_ROUNDING = { atol: 0.01, rtol: 2 ** -9 };

describe("gate and up rows in turn", () => {
  test.each(PAIRS)("%s beside %s keep their values", async (gate, up) => {
    const cols = 256 * 3; // an odd number of blocks of 256
    const { actual, expected, readBytes } = await interleave([gate, up], 5, cols);
    const { lossy } = commonLayout(planarLayout(gate), planarLayout(up));
    expectClose(actual, expected, lossy ? HALF_ROUNDING : { atol: 0, rtol: 2 ** -22 });
    expect(readBytes).toBe(tensorBytes(gate, 5 * cols) + tensorBytes(up, 5 * cols));
  });

  test.each([
    ["Q8_0", "Q8_0"],
    ["Q8_0", "Q5_1"],
  ] as const)("%s beside %s, one row of an odd number of blocks", async (gate, up) => {
    const { actual, expected } = await interleave([gate, up], 1, 96);
    expectClose(actual, expected, { atol: 0, rtol: 2 ** -22 });
  });

  test("types with rows of different bytes stay in step over several chunks", async () => {
    // 2.6 MB and 3.1 MB of file data: chunks of 2 MB would break off at different rows.
    const { actual, expected } = await interleave(["Q4_1", "Q5_1"], 128, 32 * 1024);
    expectClose(actual, expected, { atol: 0, rtol: 2 ** -22 });
  });
});

describe("commonLayout", () => {
  test("leaves equal layouts alone", () => {
    expect(commonLayout(planarLayout("Q4_0"), planarLayout("Q4_1"))).toEqual(planarLayout("Q4_0"));
    expect(commonLayout(planarLayout("Q4_0"), planarLayout("Q4_K")).lossy).toBe(true);
  });

  test("is the smallest that holds both, whichever comes first", () => {
    for (const [a, b, expected] of [
      ["Q4_0", "Q5_1", { kind: "q8", blockSize: 32, hasMin: true }],
      ["Q5_0", "Q4_1", { kind: "q8", blockSize: 32, hasMin: true }],
      ["Q6_K", "Q4_K", { kind: "q8", blockSize: 16, hasMin: true }],
      ["Q8_0", "F16", { kind: "f16", blockSize: 1, hasMin: false }],
    ] as const) {
      const layouts = [planarLayout(a), planarLayout(b)] as const;
      expect(commonLayout(layouts[0], layouts[1])).toMatchObject(expected);
      expect(commonLayout(layouts[1], layouts[0])).toMatchObject(expected);
    }
  });
});
