import type { CacheOptions, KvDtype, PolicyName, SamplingOptions } from "../src/index.ts";
import { halveRows, parseLayerRows, spreadRows } from "./layer-rows.ts";

export type { PolicyName };

/** What the slider of the budget counts. */
export type BudgetUnit = "percent" | "tokens" | "mib";

/** What becomes of the compressed cache when the conversation goes on. */
export type FollowUp = "keep" | "read-again";

/** Settings of cache and answers. They can be shared as an address, but for the system prompt. */
export interface Settings {
  /** `custom`: ranked as by another policy, with the user's own rows for each layer. */
  readonly policy: PolicyName | "custom";
  readonly ranking: PolicyName;
  /** Numbers by commas, from the lowest layer to the highest. */
  readonly layerRows: string;
  readonly budgetUnit: BudgetUnit;
  readonly budget: number;
  readonly windowSize: number;
  readonly beta: number;
  readonly kvDtype: KvDtype;
  readonly followUp: FollowUp;
  readonly temperature: number;
  readonly topK: number;
  readonly topP: number;
  readonly minP: number;
  readonly repetitionPenalty: number;
  readonly seed: number;
  readonly systemPrompt: string;
}

export const DEFAULT_SETTINGS: Settings = {
  policy: "pyramidkv",
  ranking: "snapkv",
  layerRows: "512,64",
  // In tokens, so that short conversations stay whole: a share of a few tokens would spoil them.
  budgetUnit: "tokens",
  budget: 256,
  windowSize: 8,
  beta: 20,
  kvDtype: "f16",
  followUp: "keep",
  temperature: 0,
  topK: 0,
  topP: 1,
  minP: 0,
  repetitionPenalty: 1,
  seed: 1,
  systemPrompt: "",
};

/** A policy as the page offers it, with the settings that it takes. */
export interface PolicyChoice {
  readonly name: Settings["policy"];
  readonly label: string;
  readonly about: string;
  readonly takes: readonly ("budget" | "windowSize" | "beta")[];
}

export const POLICY_CHOICES: readonly PolicyChoice[] = [
  {
    name: "pyramidkv",
    label: "PyramidKV",
    about:
      "Keeps what the last tokens attend to: more in the lower layers, less in the upper ones.",
    takes: ["budget", "windowSize", "beta"],
  },
  {
    name: "snapkv",
    label: "SnapKV",
    about: "Keeps what the last tokens attend to, equally much in every layer.",
    takes: ["budget", "windowSize"],
  },
  {
    name: "ada-kv",
    label: "Ada-KV",
    about: "As SnapKV, but the heads of a layer share its rows by need.",
    takes: ["budget", "windowSize"],
  },
  {
    name: "tova",
    label: "TOVA",
    about: "Keeps what the very last token attends to.",
    takes: ["budget"],
  },
  {
    name: "knorm",
    label: "Key norm",
    about: "Keeps rows with small keys; looks at no attention.",
    takes: ["budget"],
  },
  {
    name: "streaming-llm",
    label: "StreamingLLM",
    about: "Keeps the first tokens and the latest ones.",
    takes: ["budget"],
  },
  { name: "full", label: "Full cache", about: "Keeps everything.", takes: [] },
  {
    name: "custom",
    label: "Custom",
    about: "Your own number of rows for each layer.",
    takes: [],
  },
];

/** The policies that rank rows, in the order in which they are offered. */
export const RANKINGS: readonly PolicyName[] = POLICY_CHOICES.flatMap(({ name }) =>
  name === "full" || name === "custom" ? [] : [name],
);

/** The range that a numeric setting may lie in. */
export interface NumberRule {
  readonly min: number;
  readonly max: number;
  /** Whole numbers only where this is 1. */
  readonly step: number;
}

export const BUDGET_RULES: Readonly<Record<BudgetUnit, NumberRule>> = {
  percent: { min: 1, max: 100, step: 1 },
  tokens: { min: 16, max: 2048, step: 16 },
  mib: { min: 2, max: 128, step: 1 },
};

/** A setting that is a number with a fixed range. */
export type NumberSetting =
  "windowSize" | "beta" | "temperature" | "topK" | "topP" | "minP" | "repetitionPenalty" | "seed";

export const NUMBER_RULES: Readonly<Record<NumberSetting, NumberRule>> = {
  windowSize: { min: 1, max: 256, step: 1 },
  beta: { min: 1, max: 1000, step: 0.5 },
  temperature: { min: 0, max: 5, step: 0.05 },
  topK: { min: 0, max: 1000, step: 1 },
  topP: { min: 0.01, max: 1, step: 0.01 },
  minP: { min: 0, max: 1, step: 0.01 },
  repetitionPenalty: { min: 0.5, max: 2, step: 0.01 },
  seed: { min: 0, max: 4_294_967_295, step: 1 },
};

/** The policy with this name, as the page offers it. */
export function policyChoice(name: Settings["policy"]): PolicyChoice {
  const found = POLICY_CHOICES.find((choice) => choice.name === name);
  if (found === undefined) throw new Error(`the page offers no policy ${name}`);
  return found;
}

/** The name of a policy as the picker has it; one that the page doesn't offer keeps its own. */
export function policyLabel(name: string): string {
  return POLICY_CHOICES.find((choice) => choice.name === name)?.label ?? name;
}

/** Whether a number keeps a rule. */
export function keepsRule(value: number, { min, max, step }: NumberRule): boolean {
  return value >= min && value <= max && (step !== 1 || Number.isInteger(value));
}

/** Which of the settings the cache takes. */
export function takesOf({ policy, ranking }: Settings): PolicyChoice["takes"] {
  if (policy !== "custom") return policyChoice(policy).takes;
  return policyChoice(ranking).takes.filter((setting) => setting === "windowSize");
}

/**
 * The cache that is asked for; options that the policy doesn't take are left out. Rows in tokens are
 * lifted to hold the window and one more.
 * @param numLayers of the model; while it isn't known, a custom policy has the engine's own rows
 */
export function toCacheOptions(settings: Settings, numLayers: number | undefined): CacheOptions {
  const { policy, ranking, layerRows, budgetUnit, budget, windowSize, beta, kvDtype } = settings;
  const takes = takesOf(settings);
  const lift = (rows: number): number =>
    takes.includes("windowSize") ? Math.max(rows, windowSize + 1) : rows;
  const budgets = { percent: `${budget}%`, tokens: lift(budget), mib: `${budget}MiB` };
  const rows = policy === "custom" ? parseLayerRows(layerRows) : undefined;
  return {
    policy: policy === "custom" ? ranking : policy,
    kvDtype,
    ...(rows === undefined || numLayers === undefined
      ? {}
      : { layerBudgets: spreadRows(rows, numLayers).map(lift) }),
    ...(takes.includes("budget") ? { budget: budgets[budgetUnit] } : {}),
    ...(takes.includes("windowSize") ? { windowSize } : {}),
    ...(takes.includes("beta") ? { beta } : {}),
  };
}

/** How tokens are to be chosen. */
export function toSampling(settings: Settings): SamplingOptions {
  const { temperature, topK, topP, minP, repetitionPenalty, seed } = settings;
  return { temperature, topK, topP, minP, repetitionPenalty, seed };
}

/** The cache in words: `Full cache`, `PyramidKV, 25 % of the prompt`, `Custom, 512, 64 rows by layer`. */
export function cacheText(settings: Settings): string {
  const { label, takes } = policyChoice(settings.policy);
  if (settings.policy === "custom") {
    const { label: ranking } = policyChoice(settings.ranking);
    return `${label} (${ranking}), ${settings.layerRows.replaceAll(",", ", ")} rows by layer`;
  }
  return takes.includes("budget") ? `${label}, ${budgetText(settings)}` : label;
}

/** The budget in words: `25 %`, `128 tokens per layer`, `8 MiB`. */
export function budgetText({ budget, budgetUnit }: Settings): string {
  if (budgetUnit === "percent") return `${budget}\u00a0% of the prompt`;
  return budgetUnit === "tokens" ? `${budget}\u00a0tokens a layer` : `${budget}\u00a0MiB`;
}

/** A cache of half the size: half the budget, or a quarter of the prompt where nothing was evicted. */
export function halveBudget(settings: Settings): Partial<Settings> {
  const { policy, budget, budgetUnit, layerRows } = settings;
  if (policy === "custom") {
    return { layerRows: halveRows(parseLayerRows(layerRows) ?? []).join() };
  }
  if (policy === "full") return { policy: "pyramidkv", budgetUnit: "percent", budget: 25 };
  const { min, step } = BUDGET_RULES[budgetUnit];
  return { budget: Math.max(min, Math.round(budget / 2 / step) * step) };
}
