import { expect, test } from "vitest";
import { POLICIES, type PolicyName } from "../../src/cache/policy.ts";
import type { LayerMemory } from "../../src/index.ts";
import { digits, openTiny } from "../engine/tiny-models.ts";
import { describePolicy } from "./contract.ts";

const engine = await openTiny("tiny-flow");

for (const policy of Object.values(POLICIES)) describePolicy(policy, engine);

const compressing = Object.values(POLICIES).filter(({ scorer }) => scorer !== null);

test.each(compressing)(
  "$name tells of a layer's heads while later layers are in work",
  async ({ name }) => {
    await engine.setCache({ policy: name as PolicyName, budget: 48 });
    let layers: readonly LayerMemory[] = [];
    const onPrefill = (): void => void (layers = engine.memory().kv.layers);
    // Two chunks per layer, and three submits in flight: the last call comes after what the first layer told.
    const { cache } = await engine.generate(digits(300), { maxTokens: 1, onPrefill }).result;
    const { budget, heads, bytes } = cache.layers[0];
    expect(layers[0]).toMatchObject({ budget, heads, bytes });
  },
);
