import type { CacheOptions } from "../../src/index.ts";
import type { CompressionCase } from "./format.ts";

/** The reference's settings as a user gives them, its budgets fed in as they are. */
export function optionsOf({ policy, options, budgets }: CompressionCase): CacheOptions {
  const { windowSize, pool: kind, poolSize: size, numSinks, alphaSafeguard } = options;
  return {
    policy: policy === "authors" ? "pyramidkv" : policy,
    layerBudgets: budgets.map(mean),
    ...(windowSize !== undefined && { windowSize }),
    ...(kind !== undefined && size !== undefined && { pool: { kind, size } }),
    ...(numSinks !== undefined && { numSinks }),
    ...(alphaSafeguard !== undefined && { headFloor: alphaSafeguard }),
  };
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
