/**
 * What the memory page is made of, without a GPU: plans of the cache for any model, traces of runs,
 * and their exports. Pure; runs in Node.
 */
export * from "./profile/trace.ts";
export * from "./profile/export.ts";
export * from "./profile/parse.ts";
export type { JsonSchema } from "./profile/json-schema.ts";
export * from "./profile/replay.ts";
export * from "./profile/generated-rows.ts";
export * from "./profile/models.ts";
export * from "./profile/plan.ts";
export type { Budget, BudgetInput } from "./cache/budget.ts";
export type { TokenScore, TokenScores } from "./cache/kept-scores.ts";
export type { ResolvedCacheOptions } from "./cache/options.ts";
export { type CachePolicy, POLICIES, type PolicyOption, type Scorer } from "./cache/policy.ts";
