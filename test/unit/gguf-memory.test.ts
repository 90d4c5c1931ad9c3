import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { openFileSource } from "../../src/cli/file-source.ts";
import { readGguf } from "../../src/formats/gguf.ts";
import { readVector, streamMatrix } from "../../src/formats/stream.ts";

const MODEL = fileURLToPath(
  new URL("../../public/models/SmolLM2-135M-Instruct-Q4_1.gguf", import.meta.url),
);
const LIMIT_BYTES = 64 * 1024 * 1024;

function usedBytes(): number {
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

describe("loading the default model", () => {
  it("streams every tensor with under 64 MB of heap and array buffers", async () => {
    const source = await openFileSource(MODEL);
    const before = usedBytes();
    let peak = before;
    const start = performance.now();
    const file = await readGguf(source);
    let bytes = 0;
    for (const info of file.tensors.values()) {
      if (info.shape.length === 1) await readVector(source, info);
      else {
        for await (const _ of streamMatrix(source, info)) peak = Math.max(peak, usedBytes());
      }
      peak = Math.max(peak, usedBytes());
      bytes += info.bytes;
    }
    await source.close();
    const growth = peak - before;
    console.log(
      `streamed ${(bytes / 1e6).toFixed(1)} MB in ${(performance.now() - start).toFixed(0)} ms; ` +
        `peak of heap and array buffers ${(growth / 1e6).toFixed(1)} MB over the start`,
    );
    // As the Python package gguf reads the same file.
    expect(file.tensors.size).toBe(272);
    expect(file.metadata.size).toBe(33);
    expect(file.tensors.get("token_embd.weight")).toEqual({
      name: "token_embd.weight",
      type: "Q8_0",
      shape: [49152, 576],
      offset: 1_785_664,
      bytes: 30_081_024,
    });
    expect(file.tensors.get("blk.1.ffn_down.weight")).toMatchObject({
      type: "Q4_1",
      shape: [576, 1536],
      offset: 34_085_440,
    });
    expect(bytes).toBeGreaterThan(96e6);
    expect(growth).toBeLessThan(LIMIT_BYTES);
  });
});
