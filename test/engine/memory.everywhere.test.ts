import { beforeAll, describe, expect, test } from "vitest";
import type * as WebGpuMemory from "webgpu-memory";
import { readGguf } from "../../src/formats/gguf.ts";
import { type Engine, type LoadOptions, bufferSource, loadEngine } from "../../src/index.ts";
import { buffersAt } from "../../src/profile.ts";
import { adapterFeatures, gpu } from "../gpu.ts";
import { digits, tinyFile } from "./tiny-models.ts";

let tracker: typeof WebGpuMemory;

beforeAll(async () => {
  // The tracker wraps these classes when it is imported; Dawn has none for canvases.
  Object.assign(globalThis, { GPUCanvasContext: CanvasContext });
  tracker = await import("webgpu-memory");
});

class CanvasContext {
  configure(): void {}
  unconfigure(): void {}
  getCurrentTexture(): void {}
}

/** What an independent tracker counts: bytes of all buffers and query sets on all devices, now and at most. */
function tracked(): { total: number; peak: number } {
  const { memory } = tracker.getWebGPUMemoryUsage();
  expect(memory.total).toBe(memory.buffer + memory.querySet);
  return { total: memory.total, peak: memory.maxTotal };
}

function ledger(engine: Engine): { total: number; peak: number } {
  const { total, peak } = engine.memory();
  return { total, peak };
}

async function load(file: Uint8Array<ArrayBuffer>, options: LoadOptions = {}): Promise<Engine> {
  tracker.resetMaxTotal();
  const engine = await loadEngine(bufferSource(file, "tiny.gguf"), { gpu, ...options });
  tracker.resetMaxTotal(); // the engine's peaks begin when it is ready
  return engine;
}

describe("an independent tracker and the ledger agree on total and peak", () => {
  test.each(["tiny-flow", "tiny-llama", "tiny-qwen2"] as const)(
    "through the life of %s",
    async (name) => {
      expect(tracked().total).toBe(0);
      const engine = await load(tinyFile(name));
      expect(tracked()).toEqual(ledger(engine));
      expect(engine.memory().weights).toBeGreaterThan(tinyFile(name).length * 0.7);

      await engine.generate([3, 4, 5], { maxTokens: 10 }).result;
      expect(tracked()).toEqual(ledger(engine));
      await engine.generate(Array(400).fill(9), { maxTokens: 3, temperature: 1, topK: 5 }).result;
      expect(tracked()).toEqual(ledger(engine));
      await engine.score(Array(500).fill(7), { contextTokens: 100 });
      expect(tracked()).toEqual(ledger(engine));
      await engine.generate([3], { maxTokens: 3 }).result;
      expect(tracked()).toEqual(ledger(engine));

      await engine.destroy();
      expect(tracked().total).toBe(0);
      expect(ledger(engine).total).toBe(0);
    },
  );

  test("at every piece of an answer and every step of a prefill", async () => {
    const engine = await load(tinyFile("tiny-flow"));
    let looks = 0;
    const look = (): void => {
      looks++;
      expect(tracked()).toEqual(ledger(engine));
    };
    const answer = engine.generate(digits(500), { maxTokens: 300, onPrefill: look });
    for await (const piece of answer) {
      expect(piece.tokenIds.length).toBeGreaterThan(0);
      look();
    }
    expect(looks).toBeGreaterThan(20);
    await engine.destroy();
    expect(tracked().total).toBe(0);
  });

  test("of a compressed cache, whose prefill peaks at one layer of the prompt", async () => {
    const cache = { policy: "pyramidkv", budget: 64 } as const;
    const engine = await load(tinyFile("tiny-flow"), { cache });
    const { memory } = await engine.generate(digits(1500), { maxTokens: 100 }).result;
    expect(tracked()).toEqual(ledger(engine));
    const layer = 2 * 2 * 1500 * 64; // keys and values of 2 KV heads of 32, f16
    expect(memory.kv.peak).toBeLessThanOrEqual(1.1 * (layer + memory.kv.allocated));
    expect(memory.kv.peak).toBeLessThan(memory.kv.full / 2);
    await engine.destroy();
    expect(tracked().total).toBe(0);
  });

  test("with the query sets of kernel times", async () => {
    const engine = await load(tinyFile("tiny-flow"), { trace: { kernelTimes: true } });
    await engine.generate(digits(60), { maxTokens: 10 }).result;
    expect(tracked()).toEqual(ledger(engine));
    const { buffer, querySet } = tracker.getWebGPUMemoryUsage().memory;
    expect(querySet > 0).toBe(adapterFeatures.has("timestamp-query"));
    expect(buffer + querySet).toBe(engine.memory().total);
    const live = buffersAt(await engine.trace(), Infinity);
    const queries = live.filter(({ usage }) => usage === 0);
    expect(queries.reduce((sum, { bytes }) => sum + bytes, 0)).toBe(querySet);
    await engine.destroy();
    expect(tracked().total).toBe(0);
  });

  test("while an answer is broken off", async () => {
    const engine = await load(tinyFile("tiny-flow"));
    for await (const piece of engine.generate(digits(500))) {
      expect(piece.tokenIds.length).toBeGreaterThan(0);
      break;
    }
    expect(tracked()).toEqual(ledger(engine));
    const gone = engine.generate(digits(500), { onPrefill: () => void engine.destroy() });
    await expect(gone.result).rejects.toMatchObject({ name: "AbortError" });
    await engine.destroy();
    expect(tracked().total).toBe(0);
  });
});

describe("a load that fails", () => {
  test("leaves nothing, wherever it failed", async () => {
    const file = tinyFile("tiny-flow");
    let progress = 0;
    const bad = tinyFile("tiny-flow");
    const { tensors } = await readGguf(bufferSource(bad, "bad.gguf"));
    const { offset, bytes } = tensors.get("blk.3.ffn_down.weight")!;
    bad.fill(0xff, offset, offset + bytes); // no finite scales
    await expect(load(bad, { onProgress: () => void progress++ })).rejects.toMatchObject({
      name: "ModelFormatError",
    });
    expect(progress).toBeGreaterThan(10);
    expect(tracked().peak).toBeGreaterThan(file.length * 0.7);
    expect(tracked().total).toBe(0);
  });
});

describe("the report", () => {
  test("adds up, and every purpose has its bytes", async () => {
    const engine = await load(tinyFile("tiny-flow"));
    await engine.generate(digits(300), { maxTokens: 5 }).result;
    const { weights, kv, activations, staging, uniforms, total, peaks, peak } = engine.memory();
    expect(weights + kv.allocated + activations + staging + uniforms).toBe(total);
    for (const bytes of [weights, kv.allocated, activations, staging, uniforms]) {
      expect(bytes).toBeGreaterThan(0);
    }
    const { weights: w, kv: k, activations: a, staging: s, uniforms: u } = peaks;
    expect(w + k + a + s + u).toBeGreaterThanOrEqual(peak);
    expect(a).toBeGreaterThanOrEqual(activations + 300 * 128 * 4); // hidden states of the prompt
    await engine.destroy();
  });
});
