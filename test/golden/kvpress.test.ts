import { afterAll, describe, expect, test } from "vitest";
import { openFileSource } from "../../src/cli/file-source.ts";
import { MODEL_FOLDER } from "../../src/cli/fetch-model.ts";
import { DEFAULT_MODEL } from "../../src/cli/fetch/model-file.ts";
import { type CacheOptions, type Engine, type KvDtype, loadEngine } from "../../src/index.ts";
import { gpu } from "../gpu.ts";
import { type CompressionCase, keptPositions, readGolden, type SelectionEdge } from "./format.ts";

const golden = readGolden("kvpress-512");

/** How far we may differ: rows at the edge may swap, log-probabilities may round. */
const LIMITS: Readonly<Record<KvDtype, { edge: number; swapShare: number; meanNats: number }>> = {
  f32: { edge: 2e-4, swapShare: 1, meanNats: 0.01 },
  f16: { edge: 1e-2, swapShare: 0.005, meanNats: 0.03 },
};

/** The reference's settings, its budgets fed in as they are. */
const CASES: Readonly<Record<string, CacheOptions>> = {
  pyramidkv: { policy: "pyramidkv", windowSize: 8, pool: { kind: "avg", size: 5 } },
  snapkv: { policy: "snapkv", windowSize: 32, pool: { kind: "avg", size: 7 } },
};

const engines: Engine[] = [];
afterAll(async () => {
  for (const engine of engines) await engine.destroy();
});

async function open(cache: CacheOptions): Promise<Engine> {
  const source = await openFileSource(`${MODEL_FOLDER}/${DEFAULT_MODEL.name}`);
  const engine = await loadEngine(source, { gpu, cache });
  engines.push(engine);
  return engine;
}

/** Rows per KV head, which in these cases is the same for all heads of a layer. */
function layerBudgets({ budgets }: CompressionCase): number[] {
  return budgets.map((heads) => {
    expect(new Set(heads).size).toBe(1);
    return heads[0];
  });
}

/** Whether the reference's own score of a position is so near the edge that rounding may decide. */
function mayDiffer(edge: SelectionEdge, position: number, tolerance: number): boolean {
  const at = edge.positions.indexOf(position);
  if (at < 0) return false;
  return [edge.lowestKept, edge.highestEvicted].some(
    (score) => Math.abs(edge.scores[at] - score) <= tolerance * Math.abs(score),
  );
}

describe.each(Object.entries(CASES))("%s, as kvpress has it", (name, options) => {
  const reference = golden.cases.find((candidate) => candidate.name === name) as CompressionCase;

  test.each(["f32", "f16"] as const)("cache %s", async (kvDtype) => {
    const budgets = layerBudgets(reference);
    const engine = await open({ ...options, kvDtype, layerBudgets: budgets });
    const { logprobs, cache } = await engine.score(golden.tokenIds, {
      contextTokens: golden.context,
    });
    const limits = LIMITS[kvDtype];
    expect(cache.layers.map(({ budget }) => budget)).toEqual(budgets);

    const kept = await engine.keptPositions();
    let [swaps, rows] = [0, 0];
    for (const [l, heads] of reference.kept.entries()) {
      for (const [h, mask] of heads.entries()) {
        const wanted = keptPositions(mask);
        const got = kept[l][h].filter((position) => position < golden.context);
        expect(got).toHaveLength(wanted.length);
        rows += wanted.length;
        const edge = (reference.edges as SelectionEdge[][])[l][h];
        const wrong = got.filter((position) => !wanted.includes(position));
        for (const position of wrong) {
          expect({ l, h, position, near: mayDiffer(edge, position, limits.edge) }).toMatchObject({
            near: true,
          });
        }
        swaps += wrong.length;
      }
    }
    expect(swaps / rows).toBeLessThanOrEqual(limits.swapShare);

    const errors = reference.logprobs.map((logprob, i) => Math.abs(logprob - logprobs[i]));
    const mean = errors.reduce((sum, error) => sum + error, 0) / errors.length;
    console.log(
      `${name}, cache ${kvDtype}: ${swaps} of ${rows} rows swapped, mean ${mean.toExponential(1)} nats`,
    );
    expect(mean).toBeLessThanOrEqual(limits.meanNats);
  });
});

test("the reference's budgets differ between layers, so that the pyramid is tested", () => {
  const pyramid = golden.cases.find(({ name }) => name === "pyramidkv") as CompressionCase;
  expect(new Set(layerBudgets(pyramid)).size).toBeGreaterThan(20);
});
