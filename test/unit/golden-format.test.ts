import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import {
  type CompressionCase,
  goldenPath,
  keptPositions,
  parseGolden,
  readGolden,
  readScores,
} from "../golden/format.ts";

const compressions = ["kvpress-tiny", "kvpress-512", "kvpress-1024"] as const;
const tinyModels = ["tiny-llama", "tiny-qwen2", "tiny-flow"] as const;

/** Rows kept per layer, summed over KV heads. */
function rowsPerLayer(compression: CompressionCase): number[] {
  return compression.budgets.map((heads) => heads.reduce((sum, rows) => sum + rows, 0));
}

describe("goldens", () => {
  test("another format is refused with the command to rerun", () => {
    const text = JSON.stringify({ header: { format: 0, script: "test/golden/make_golden.py" } });
    expect(() => parseGolden(text)).toThrow(/format 0, expected 1.*make_golden\.py/);
  });

  test("bit masks are read lowest bit first", () => {
    expect(keptPositions(Buffer.from([0b1000_0001, 0b10]).toString("base64"))).toEqual([0, 7, 9]);
  });

  test("score cases have one log-probability and margin per scored token, on real text", () => {
    const { cases } = readGolden("smollm2-score");
    expect(cases.map(({ context }) => context)).toEqual([32, 200, 700]);
    for (const { context, tokenIds, logprobs, margins, source, text } of cases) {
      expect(tokenIds.length).toBe(context + 128);
      expect([logprobs.length, margins.length]).toEqual([128, 128]);
      expect(Math.max(...logprobs)).toBeLessThan(0);
      const file = new URL(`../golden/text/${source}`, import.meta.url);
      expect(readFileSync(file, "utf8").startsWith(text)).toBe(true);
    }
  });

  test("at least five greedy cases are clear over all 48 steps", () => {
    const { cases } = readGolden("smollm2-greedy");
    expect(cases.filter((c) => c.stepsBeforeCloseCall === 48).length).toBeGreaterThanOrEqual(5);
    for (const { tokenIds, margins, finishReason, prompt, messages } of cases) {
      expect(margins.length).toBe(tokenIds.length);
      expect(finishReason === "length").toBe(tokenIds.length === 48);
      expect((prompt === undefined) !== (messages === undefined)).toBe(true);
    }
  });

  test.each(tinyModels)("%s stands beside its golden, unchanged", (name) => {
    const { header, score } = readGolden(name);
    const bytes = readFileSync(goldenPath(header.model.file));
    expect(createHash("sha256").update(bytes).digest("hex")).toBe(header.model.sha256);
    expect(score.tokenIds.length).toBe(score.context + score.logprobs.length);
  });

  test.each(compressions)("%s: kept positions fit budgets, window and scores", (name) => {
    const { cases, context } = readGolden(name);
    for (const compression of cases) {
      const { budgets, kept, numScored, scores, edges } = compression;
      const lists = kept.map((heads) => heads.map(keptPositions));
      expect(lists.map((heads) => heads.map((list) => list.length))).toEqual(budgets);
      for (const list of lists.flat()) {
        expect(list.filter((position) => position >= numScored).length).toBe(context - numScored);
      }
      if (scores === undefined) continue;
      const values = readScores(compression);
      const ratios = scores.layers.flatMap((layer, i) =>
        lists[layer].map((list, head) => {
          const start = (i * lists[layer].length + head) * numScored;
          const chosen = list.filter((position) => position < numScored);
          const lowest = Math.min(...chosen.map((position) => values[start + position]));
          return lowest / (edges?.[layer][head].lowestKept ?? NaN);
        }),
      );
      for (const ratio of ratios) expect(ratio).toBeCloseTo(1, 6);
    }
  });

  test.each(compressions)("%s: pyramids differ between layers and never grow", (name) => {
    const pyramids = readGolden(name).cases.filter((c) => /pyramidkv|authors/.test(c.policy));
    expect(pyramids.length).toBeGreaterThan(0);
    for (const compression of pyramids) {
      const rows = rowsPerLayer(compression);
      expect(new Set(rows).size).toBeGreaterThan(rows.length / 2);
      expect(rows).toEqual([...rows].sort((a, b) => b - a));
    }
  });
});
