import { describe, expect, test } from "vitest";
import { checkPaths } from "../../src/cli/bench/check-paths.ts";
import { median } from "../../src/cli/bench/measure.ts";
import { promptIds } from "../../src/cli/bench/prompt.ts";
import { randomModel } from "../../src/cli/bench/random-model.ts";
import { SHAPES } from "../../src/cli/bench/shapes.ts";
import { columns } from "../../src/cli/bench/columns.ts";
import { modelWork } from "../../src/cli/bench/work.ts";
import { dequantize } from "../../src/formats/blocks.ts";
import { readGguf } from "../../src/formats/gguf.ts";
import type { Engine } from "../../src/index.ts";
import { BLOCK_SHAPES } from "../../src/formats/tensor-types.ts";
import { readModelConfig } from "../../src/model/config.ts";
import { createTokenizer } from "../../src/text/tokenizer.ts";

describe.each(Object.entries(SHAPES))("random weights of %s", (name, shape) => {
  const source = randomModel(name, shape);

  test("are a GGUF file of that shape, whose tokenizer reads any English text", async () => {
    const file = await readGguf(source);
    const { types, ...sizes } = shape;
    expect(readModelConfig(file)).toMatchObject(sizes);
    expect(file.tensors.get("token_embd.weight")?.type).toBe(types.embedding);
    expect(file.tensors.get("output.weight")?.type).toBe(types.head);
    const tokenizer = createTokenizer(file.metadata, file.name);
    expect(tokenizer.vocabSize).toBe(shape.vocabSize);
    const ids = promptIds(tokenizer, 300);
    expect(ids).toHaveLength(300);
    const text = ids.map((id) => new TextDecoder().decode(tokenizer.tokenBytes(id))).join("");
    expect(text).toMatch(/^The lighthouse keeper's log/);
  });

  test("are finite, of the right spread, and the same however they are read", async () => {
    const file = await readGguf(source);
    for (const part of ["blk.0.ffn_down.weight", "token_embd.weight", "blk.1.attn_q.weight"]) {
      const info = file.tensors.get(part)!;
      const block = BLOCK_SHAPES[info.type];
      const at = info.offset + 7 * block.bytes;
      const bytes = await source.read(at, 64 * block.bytes);
      const values = dequantize(info.type, bytes, 64 * block.elements);
      const cols = info.shape[1];
      const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
      const variance = values.reduce((sum, value) => sum + value ** 2, 0) / values.length;
      expect(Math.abs(mean)).toBeLessThan(0.2 / Math.sqrt(cols));
      expect(variance * cols).toBeGreaterThan(0.85);
      expect(variance * cols).toBeLessThan(1.15);
      const into = new Uint8Array(100).fill(255);
      expect(await source.read(at + 5, 77, undefined, into)).toEqual(bytes.subarray(5, 82));
    }
    const gain = file.tensors.get("output_norm.weight")!;
    const ones = dequantize("F32", await source.read(gain.offset, gain.bytes), gain.shape[0]);
    expect(new Set(ones)).toEqual(new Set([1]));
  });

  test("differ from tensor to tensor and from row to row", async () => {
    const { tensors } = await readGguf(source);
    const matrices = [...tensors.values()].filter(({ type }) => type !== "F32").slice(0, 20);
    const rows = new Set<string>();
    for (const { bytes, shape: size, offset } of matrices) {
      const rowBytes = bytes / size[0];
      for (const row of [0, 1, 100]) {
        rows.add((await source.read(offset + row * rowBytes, 64)).join());
      }
    }
    expect(rows.size).toBe(3 * matrices.length);
  });
});

test("the work of SmolLM2 is what its weights ask for", async () => {
  const { types: _types, ...sizes } = SHAPES["smollm2-135m"];
  const file = await readGguf(randomModel("smollm2-135m", SHAPES["smollm2-135m"]));
  const config = { ...readModelConfig(file), ...sizes };
  // 106,168,320 weights in the layers' matrices and 28,311,552 in the head.
  expect(modelWork(config, 1).decodeFlops(0)).toBe(2 * (106_168_320 + 28_311_552));
  // Each cached token adds 2 x 64 multiply-adds for each of 9 heads in 30 layers.
  expect(modelWork(config, 1).decodeFlops(10) - modelWork(config, 1).decodeFlops(9)).toBe(69_120);
  expect(modelWork(config, 3).prefillFlops).toBe(6 * 106_168_320 + 6 * 69_120 + 2 * 28_311_552);
});

describe("checkPaths", () => {
  const ids = [1, 2, 3];
  /** The token after n tokens is 10 n, but for those given, `nats` less likely: in an answer, or after a prompt. */
  function engine(wrong: { step?: number; prompt?: number; nats?: number }): Engine {
    const next = (length: number, from: number): number => {
      const isWrong = from === length ? length === wrong.prompt : length === wrong.step;
      return isWrong ? 7 : 10 * length;
    };
    return {
      generate: (prompt: readonly number[], { maxTokens = 0 }) => {
        const from = prompt.length;
        const tokenIds = Array.from({ length: maxTokens }, (_, i) => next(from + i, from));
        return { result: Promise.resolve({ tokenIds }) };
      },
      score: async (text: readonly number[]) => ({
        logprobs: [text.at(-1)! % 10 === 0 ? -1 : -1 - (wrong.nats ?? 0)],
      }),
    } as unknown as Engine;
  }
  const { signal } = new AbortController();

  test("is content when steps and prompts agree", async () => {
    await checkPaths(engine({}), ids, signal);
  });

  test.each([
    [{ step: 4, nats: 3 }, "step 1"],
    [{ step: 8, nats: 3 }, "step 5"],
    [{ prompt: 10, nats: 3 }, "step 7"],
  ])("finds %j", async (wrong, message) => {
    await expect(checkPaths(engine(wrong), ids, signal)).rejects.toThrow(message);
  });

  test("lets rounding decide between equals", async () => {
    await checkPaths(engine({ step: 4, nats: 0.01 }), ids, signal);
  });
});

test("median takes the middle value, of an even number the lower one", () => {
  expect(median([3, 1, 2])).toBe(2);
  expect(median([4, 1, 3, 2])).toBe(2);
  expect(median([7])).toBe(7);
});

test("columns are as wide as their widest cell, numbers to the right", () => {
  expect(
    columns([
      ["name", "n"],
      ["a", "1000"],
    ]),
  ).toBe("name     n\na     1000");
});
