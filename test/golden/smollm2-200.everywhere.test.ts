import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { adapterName } from "../gpu.ts";
import { expectScore } from "./compare.ts";
import { readGolden } from "./format.ts";
import { ModelRun } from "./model-run.ts";

test(`SmolLM2 after 200 tokens on ${adapterName}`, async () => {
  const { cases, header } = readGolden("smollm2-score");
  const golden = cases.find(({ context }) => context === 200);
  expect(golden).toBeDefined();
  const { context, tokenIds } = golden!;
  const path = fileURLToPath(new URL(`../../public/models/${header.model.file}`, import.meta.url));
  const run = await ModelRun.open(path, { kvDtype: "f32" });
  const { logprobs } = await run.continue(tokenIds.slice(0, context), {
    greedySteps: 0,
    scored: tokenIds.slice(context),
  });
  expectScore(logprobs, golden!, "f32", `SmolLM2 on ${adapterName}`);
});
