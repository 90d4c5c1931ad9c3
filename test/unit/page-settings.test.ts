import fc from "fast-check";
import { expect, test } from "vitest";
import {
  BUDGET_RULES,
  cacheText,
  DEFAULT_SETTINGS,
  halveBudget,
  NUMBER_RULES,
  POLICY_CHOICES,
  type PolicyName,
  RANKINGS,
  type Settings,
  toCacheOptions,
  toSampling,
} from "../../demo/settings.ts";
import { settingsFromQuery, settingsToQuery } from "../../demo/settings-address.ts";
import { resolveCacheOptions } from "../../src/cache/options.ts";
import { POLICIES } from "../../src/cache/policy.ts";
import { resolveSampling } from "../../src/sampling/options.ts";

const number = (rule: { min: number; max: number; step: number }): fc.Arbitrary<number> =>
  rule.step === 1
    ? fc.integer(rule)
    : fc.double({ min: rule.min, max: rule.max, noNaN: true }).map((value) => value + 0);

const anySettings: fc.Arbitrary<Settings> = fc
  .constantFrom("percent" as const, "tokens" as const, "mib" as const)
  .chain((budgetUnit) =>
    fc.record({
      policy: fc.constantFrom(...POLICY_CHOICES.map(({ name }) => name)),
      ranking: fc.constantFrom(...RANKINGS),
      layerRows: fc
        .array(fc.integer({ min: 16, max: 32_768 }), { minLength: 1, maxLength: 40 })
        .map((rows) => rows.join()),
      budgetUnit: fc.constant(budgetUnit),
      budget: fc.integer(BUDGET_RULES[budgetUnit]),
      kvDtype: fc.constantFrom("f16" as const, "f32" as const),
      followUp: fc.constantFrom("keep" as const, "read-again" as const),
      windowSize: number(NUMBER_RULES.windowSize),
      beta: number(NUMBER_RULES.beta),
      temperature: fc.constantFrom(0, 0.05, 0.7, 5),
      topK: number(NUMBER_RULES.topK),
      topP: number(NUMBER_RULES.topP),
      minP: number(NUMBER_RULES.minP),
      repetitionPenalty: number(NUMBER_RULES.repetitionPenalty),
      seed: number(NUMBER_RULES.seed),
      systemPrompt: fc.constant(""),
    }),
  );

test("every policy of the engine is offered, with the options that it takes", () => {
  const offered = new Map(POLICY_CHOICES.map((choice) => [choice.name, choice]));
  expect([...offered.keys()].sort()).toEqual([...Object.keys(POLICIES), "custom"].sort());
  for (const [name, { options }] of Object.entries(POLICIES)) {
    const known = ["budget", "windowSize", "beta"].filter((option) =>
      (options as readonly string[]).includes(option),
    );
    expect(offered.get(name as PolicyName)?.takes, name).toEqual(known);
  }
});

test("settings come back from their address, and the engine takes them", () => {
  const property = fc.property(anySettings, (settings) => {
    const back = settingsFromQuery(settingsToQuery(settings));
    expect(back).toEqual({ settings, ignored: [] });
    resolveCacheOptions(toCacheOptions(settings, 30), 30);
    resolveCacheOptions(toCacheOptions(settings, undefined), 30);
    resolveSampling(toSampling(settings));
  });
  fc.assert(property, { numRuns: 500, seed: 31 });
});

test("a custom policy has the rows that were written, spread over the layers", () => {
  const rowsOf = (layerRows: string, numLayers: number): readonly number[] | undefined =>
    toCacheOptions({ ...DEFAULT_SETTINGS, policy: "custom", layerRows }, numLayers).layerBudgets;
  expect(rowsOf("64", 3)).toEqual([64, 64, 64]);
  expect(rowsOf("100,20", 5)).toEqual([100, 80, 60, 40, 20]);
  expect(rowsOf("99,50,98,16", 4)).toEqual([99, 50, 98, 16]);
  expect(rowsOf("512,64", 1)).toEqual([512]);
  // The window and one more are always kept.
  const wide = {
    ...DEFAULT_SETTINGS,
    policy: "custom",
    layerRows: "512,16",
    windowSize: 32,
  } as const;
  expect(toCacheOptions(wide, 2).layerBudgets).toEqual([512, 33]);
  expect(halveBudget(wide)).toEqual({ layerRows: "256,16" });
  expect(cacheText(wide)).toBe("Custom (SnapKV), 512, 16 rows by layer");
  expect(settingsFromQuery("policy=custom&ranking=tova&layerRows=512+64").settings).toEqual({
    ...DEFAULT_SETTINGS,
    ...{ policy: "custom", ranking: "tova", layerRows: "512,64" },
  });
});

test("the address of settings as always is empty, and none holds what was written", () => {
  expect(settingsToQuery(DEFAULT_SETTINGS)).toBe("");
  expect(settingsToQuery({ ...DEFAULT_SETTINGS, systemPrompt: "secret", beta: 5 })).toBe("beta=5");
  expect(settingsFromQuery("systemPrompt=secret").settings).toEqual(DEFAULT_SETTINGS);
});

test.each([
  "policy=pyramid",
  "policy=constructor",
  "budget=-1",
  "budget=100000",
  "budget=many",
  "windowSize=2.5",
  "temperature=Infinity",
  "seed=1e99",
  "kvDtype=q1",
  "ranking=full",
  "layerRows=512,8",
  "budgetUnit=mib",
  "buget=96",
  "toString=1",
])("what an address has wrong is told and left out: %s", (query) => {
  expect(settingsFromQuery(query)).toEqual({ settings: DEFAULT_SETTINGS, ignored: [query] });
});
