import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { compareRuns, divergence } from "../../demo/memory/compare-runs.ts";
import { keptAttention } from "../../demo/memory/kept-attention.ts";
import { LedgerCursor } from "../../demo/memory/ledger-cursor.ts";
import shipped from "../../demo/memory/measured-quality.json";
import { parseQuality, qualityAt, qualityChart } from "../../demo/memory/quality.ts";
import { buffersAt, type RunTrace } from "../../src/profile.ts";
import { sampleTrace } from "./sample-trace.ts";

/** A run whose prompt are the first 60 tokens, and whose answer differs from token `from` on. */
function answered(from: number): RunTrace {
  const run = sampleTrace();
  return {
    ...run,
    calls: [{ ...run.calls[0], promptTokens: 60, decodeTokensPerSecond: 21.25 }],
    tokens: run.tokens!.map((token, at) => (at < from ? token : { id: 9999, text: "other" })),
  };
}

test("runs are compared with the first of them, and where their answers part", () => {
  const runs = [answered(64), answered(62)];
  const rows = new Map(compareRuns(runs).map(({ name, texts }) => [name, texts]));
  expect(rows.get("Decode")).toEqual(["21.3\u00a0tokens/s", "21.3\u00a0tokens/s (0.0\u00a0%)"]);
  expect(rows.get("Tokens that agree")).toEqual(["–", "2 of 4"]);
  expect(rows.get("First divergence")).toEqual(["–", "token 2: “ word62”, here “other”"]);
  const faster = { ...runs[1], calls: [{ ...runs[1].calls[0], decodeTokensPerSecond: 42.5 }] };
  const [decode] = compareRuns([runs[0], faster]).filter(({ name }) => name === "Decode");
  expect(decode.texts[1]).toBe("42.5\u00a0tokens/s (+100.0\u00a0%)");
});

test("answers to different prompts are not compared, equal ones don't part", () => {
  expect(divergence(answered(64), answered(64))).toEqual({ tokens: 4, agreeing: 4 });
  expect(divergence(answered(64), answered(20))).toBeUndefined();
  const { tokens: _, ...unknown } = answered(64);
  expect(divergence(answered(64), unknown)).toBeUndefined();
});

test("the buffers of a moment are the same, whichever way it was come to", () => {
  const run = sampleTrace();
  const cursor = new LedgerCursor(run);
  const ids = (buffers: readonly { readonly id: number }[]): number[] =>
    buffers.map(({ id }) => id).sort((a, b) => a - b);
  for (const at of [0, 35, 200, 59, 60, 11, 10, 200, 0, 1]) {
    expect(ids(cursor.moveTo(at))).toEqual(ids(buffersAt(run, at)));
  }
});

/** A file of `npm run quality`, of two documents. */
function qualityFile(format = 1): string {
  const documents = ["a", "b"].flatMap((document, d) =>
    [3, 12, 50].map((budget) => ({
      ...{ document, kind: "prose", task: "continuation", policy: "pyramidkv", budget, rows: 64 },
      ...{ kl: (1 + d) / budget, agreement: 0.5 + budget / 200, deltaNll: 0 },
    })),
  );
  const plan = { model: "a model", promptTokens: 768, documents: 12 };
  const runs = [{ date: "2026-11-24T10:00:00Z", adapter: "an adapter" }];
  return JSON.stringify({ format, plan, runs, documents, passkeys: [], speed: [] });
}

test("measured quality is the mean over documents, and is read between two budgets", () => {
  const measured = parseQuality(qualityFile())!;
  expect(measured.source).toContain(
    "2 of 12 documents, 768 tokens each, on a model (other models and lengths differ), an adapter",
  );
  const points = measured.curves.continuation["pyramidkv"];
  expect(points).toEqual([
    { budget: 3, kl: 0.5, agreement: 0.515 },
    { budget: 12, kl: 0.125, agreement: 0.56 },
    { budget: 50, kl: 0.03, agreement: 0.75 },
  ]);
  expect(qualityAt(measured, "continuation", "pyramidkv", 12)?.kl).toBeCloseTo(0.125, 10);
  // Halfway on a logarithmic axis.
  expect(qualityAt(measured, "continuation", "pyramidkv", 6)?.kl).toBeCloseTo(0.25, 10);
  for (const outside of [2, 60]) {
    expect(qualityAt(measured, "continuation", "pyramidkv", outside)).toBeUndefined();
  }
  expect(qualityAt(measured, "aware", "pyramidkv", 12)).toBeUndefined();
  const chart = qualityChart(measured, "continuation", "pyramidkv", 12);
  expect(chart.series[0]?.points[1]).toEqual([12, 0.125]);
});

test("what the page shows of our own measurement is what its report says", () => {
  const report = readFileSync(new URL("../quality/RESULTS.md", import.meta.url), "utf8");
  // The first tables of these headings are those of the KL divergence.
  for (const [task, heading] of [
    ["continuation", "### The text goes on"],
    ["aware", "### An answer, compressed with the question"],
    ["agnostic", "### An answer, compressed before the question came"],
  ] as const) {
    const rows = report
      .split(heading)[1]!
      .split("\n#")[0]!
      .matchAll(/^\| ([a-z][\w-]+) +\|(.*)\|$/gm);
    const told = [...rows]
      .filter(([, policy]) => policy !== "policy")
      .map(([, policy, cells]) => [
        policy,
        cells!.split("|").map((cell) => Number.parseFloat(cell)),
      ]);
    const shown = Object.entries(shipped.curves[task]).map(([policy, points]) => [
      policy,
      points.map(({ kl }) => Number(kl.toFixed(3))).toReversed(),
    ]);
    expect(shown).toEqual(told);
    expect(shown).toHaveLength(6);
    // Three policies rank by the window's attention, and so does `tova`.
    const { series } = qualityChart(shipped, task, "snapkv", 12, "keptMass");
    expect(series.map(({ label }) => label)).toEqual(["pyramidkv", "snapkv", "ada-kv", "tova"]);
  }
});

test("what a run kept of the attention is said with the layer that kept least", () => {
  const run = sampleTrace();
  const layers = run.samples[1].layers!.map((layer, at) => ({
    ...layer,
    keptMass: at === 2 ? [0.5, 0.6] : [0.9, 0.8],
  }));
  const said = (given: typeof layers): string =>
    keptAttention({ ...run, samples: [{ ...run.samples[1], layers: given }] });
  expect(said(layers).replaceAll("\u00a0", " ")).toBe(
    "The run above (pyramidkv, 28 rows a layer in the mean) kept 77.5 % of the window’s attention, least in layer 2: 55.0 %.",
  );
  expect(said(layers.map((layer) => ({ ...layer, keptMass: [] })))).toContain("isn’t measured");
  expect(said([])).toBe("");
});

test("what is no file of measured quality is left to others, a wrong one is refused", () => {
  expect(parseQuality("no JSON")).toBeUndefined();
  expect(parseQuality(JSON.stringify(sampleTrace()))).toBeUndefined();
  expect(() => parseQuality(qualityFile(2))).toThrow("format must be 1");
  expect(() => parseQuality(qualityFile().replace('"budget":12', '"budget":"x"'))).toThrow(
    "documents[1]",
  );
});
