import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { bench } from "../../src/cli/bench.ts";
import type { BenchReport } from "../../src/cli/bench/report.ts";
import { adapterName } from "../gpu.ts";

const TINY = fileURLToPath(new URL("data/tiny-llama.gguf", import.meta.url));

let folder = "";
let printed = "";

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "ziggurat-bench-"));
  printed = "";
  vi.spyOn(process.stdout, "write").mockImplementation((text) => {
    printed += String(text);
    return true;
  });
  vi.spyOn(process.stderr, "write").mockReturnValue(true);
});

afterEach(async () => {
  vi.restoreAllMocks();
  await rm(folder, { recursive: true });
});

async function run(...argv: string[]): Promise<BenchReport> {
  const path = join(folder, "results", "bench.json");
  await bench([...argv, "--json", path]);
  return JSON.parse(await readFile(path, "utf8")) as BenchReport;
}

function expectSound({ cases, roofline, model, dispatchesPerToken }: BenchReport): void {
  // The embedding before the layers; the logits and the greedy choice (two) after them.
  const perLayer = (dispatchesPerToken - 4) / model.config.numLayers;
  expect(perLayer).toBeGreaterThanOrEqual(6);
  expect(perLayer).toBeLessThanOrEqual(8);
  for (const { prefill, decode } of cases) {
    for (const phase of [prefill, decode]) {
      const { runs, tokensPerSecond, flopsPerSecond } = phase;
      const rates = runs.map(({ tokens, wallSeconds }) => tokens / wallSeconds);
      expect(tokensPerSecond).toBeGreaterThanOrEqual(0.999 * Math.min(...rates));
      expect(tokensPerSecond).toBeLessThanOrEqual(1.001 * Math.max(...rates));
      expect(flopsPerSecond).toBeGreaterThan(0);
      expect(flopsPerSecond).toBeLessThan(1.5 * roofline.flopsPerSecond);
      if (process.platform !== "linux") continue;
      for (const { workerCpuSeconds } of runs) expect(workerCpuSeconds).toBeGreaterThan(0);
    }
    const bytes = decode.tokensPerSecond * model.weightBytesPerToken;
    expect(decode.weightBytesPerSecond).toBeCloseTo(bytes, -3);
  }
}

test(`bench measures a tiny model on ${adapterName}, prints a table and writes a file`, async () => {
  const options = ["--prompt-tokens", "17,40", "--new-tokens", "6", "--runs", "2"];
  const report = await run("--model", TINY, ...options, "--only", "rates", "--kv-dtype", "f32");
  expect(report.model.config.name).toBe("tiny-llama");
  expect(report.kvDtype).toBe("f32");
  expect(report.cases.map((one) => one.promptTokenIds.length)).toEqual([17, 40]);
  for (const { decode, prefill, tokenIds, kvBytes } of report.cases) {
    expect([prefill.runs.length, decode.runs.length]).toEqual([2, 2]);
    expect(tokenIds.length).toBeLessThanOrEqual(6);
    expect(decode.runs[0]?.tokens).toBe(tokenIds.length - 1);
    // Keys and values of 4 layers, 8 heads, 256 rows of 32 numbers; a table of 32 entries.
    expect(kvBytes).toBe(2 * 4 * 8 * 256 * 32 * 4 + 32 * 16);
  }
  expectSound(report);
  expect(printed).toContain("tiny-llama");
  expect(printed).toMatch(/^40 +decode +[\d.]+ /m);
  expect(printed).toContain(`${report.dispatchesPerToken} dispatches per token`);
});

test(`bench runs random weights of a real shape on ${adapterName}`, async () => {
  const shape = ["--shape", "smollm2-135m", "--layers", "1"];
  const options = ["--prompt-tokens", "24", "--new-tokens", "4", "--runs", "1", "--only", "rates"];
  const report = await run(...shape, ...options);
  const { numLayers, hiddenSize, vocabSize } = report.model.config;
  expect([numLayers, hiddenSize, vocabSize]).toEqual([1, 576, 49152]);
  const [{ tokenIds }] = report.cases;
  expect(new Set(tokenIds).size).toBeGreaterThan(1);
  expectSound(report);
});

test.each([
  [["--model", TINY, "--shape", "llama-1b"], "not both"],
  [["--shape", "llama-9b"], "llama-8b"],
  [["--layers", "2"], "--shape"],
  [["--model", TINY, "--runs", "0"], "--runs"],
  [["--model", TINY, "--prompt-tokens", "12,x"], "--prompt-tokens"],
  [["--model", TINY, "--new-tokens", "1.5"], "--new-tokens"],
  [["--model", TINY, "--only", "rates,speed"], "compression"],
])("bench refuses %j", async (argv, reason) => {
  await expect(bench(argv)).rejects.toThrow(reason);
});
