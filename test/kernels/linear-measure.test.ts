import { expect, test } from "vitest";
import { linearCandidates } from "../../src/model/linear-choice.ts";
import { measuredChoice } from "../../src/model/linear-measure.ts";
import { adapterFeatures, openTestDevice } from "../gpu.ts";
import { PLANAR_LAYOUTS } from "../reference/planar.ts";

const features = adapterFeatures.has("subgroups") ? (["subgroups"] as const) : [];
const opened = await openTestDevice({ features });

test.each([
  ["the adapter", opened],
  ["the adapter taken for a GPU", { ...opened, isSoftware: false }],
])("%s: candidates are timed, and nothing is left of the trial", async (_name, gpu) => {
  const { matvec, matmul } = linearCandidates(gpu);

  const { choice, measurements } = await measuredChoice(gpu, PLANAR_LAYOUTS.q4);

  expect(matvec).toContainEqual(choice.matvec);
  expect(matmul).toContainEqual(choice.matmul);
  const timed = [matvec, matmul].filter(({ length }) => length > 1).flat();
  expect(measurements.map(({ variant }) => variant)).toEqual(timed);
  for (const { milliseconds } of measurements) expect(milliseconds).toBeGreaterThan(0);
  expect(gpu.buffers.now.total).toBe(0);
});
