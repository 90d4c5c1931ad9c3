import { expect, test } from "vitest";
import { runCacheSections } from "../../src/cli/bench/cache-sections.ts";
import { cacheLines } from "../../src/cli/bench/cache-table.ts";
import { bufferSource, loadEngine } from "../../src/index.ts";
import { gpu } from "../gpu.ts";
import { tinyFile } from "./tiny-models.ts";

test("bench measures the compressed cache", { timeout: 900_000 }, async () => {
  const source = bufferSource(tinyFile("tiny-flow"), "tiny-flow.gguf");
  const engine = await loadEngine(source, { gpu });
  const sizes = {
    budget: 40,
    compressedTokens: 200,
    shortPrompt: 60,
    longPrompt: 700,
    answerTokens: 200,
    partTokens: 60,
  };
  const { signal } = new AbortController();
  try {
    const reports = await runCacheSections(
      {
        gpu,
        source,
        engine,
        kvDtype: "f16",
        prompt: (tokens) => Array.from({ length: tokens }, (_, i) => 3 + ((i * 37) % 400)),
        runs: 2,
        newTokens: 9,
        sizes,
        signal,
        log: () => {},
      },
      new Set(["compression", "decode", "answer"]),
    );
    const { compression, decode, answer } = reports;
    expect(compression).toMatchObject({ promptTokens: 200, budget: 40, spareRows: 64 });
    for (const side of ["full", "compressed", "alone", "again", "steps"] as const) {
      expect(compression?.[side].map(({ wallSeconds }) => wallSeconds > 0)).toEqual([true, true]);
    }
    expect(compression?.share.wall).toBeGreaterThan(0);
    // The budget is for both prompts the same, so that their caches are; the full one has to hold its prompt.
    expect(decode?.short).toMatchObject({ policy: "pyramidkv", promptTokens: 60 });
    expect(decode?.long.kvBytes).toBe(decode?.short.kvBytes);
    expect(decode?.full.kvBytes).toBeGreaterThan(3 * (decode?.long.kvBytes ?? 0));
    expect(decode?.full.policy).toBe("full");
    expect(answer?.tokens).toBe(200);
    expect(answer?.kvBytes).toBeLessThanOrEqual(answer?.plannedBytes ?? 0);
    expect(answer?.kvBytes).toBeGreaterThan(0.9 * (answer?.plannedBytes ?? Infinity));
    expect(answer?.kvPeakBytes).toBeLessThanOrEqual(answer?.plannedPeakBytes ?? 0);
    expect(cacheLines(reports).join("\n")).toMatch(/score, select and compact alone +[\d.]+/);
  } finally {
    await engine.destroy();
  }
});
