import type { CacheOptions } from "../cache/options.ts";
import { GpuOutOfMemoryError, InvalidOptionError, type SmallerPlan } from "../errors.ts";
import { canAllocate, MARGIN } from "../gpu/can-allocate.ts";
import { type MemoryPlan, planMemory } from "../profile/plan.ts";
import type { Runtime } from "./runtime.ts";

/** Shares of the prompt that a smaller cache is tried with. */
const SHARES = [1 / 4, 1 / 16];

/** Shorter prompts than this are no help. */
const MIN_PROMPT_TOKENS = 64;

/**
 * The error of a prompt that did not fit, with a plan that would: its bytes could be had a moment ago. A
 * larger cache is tried before a smaller one, and a shorter prompt last.
 */
export async function withSmallerPlan(
  runtime: Runtime,
  error: GpuOutOfMemoryError,
  promptTokens: number,
): Promise<GpuOutOfMemoryError> {
  const { label, bytes, allocatedBytes } = error;
  for (let tokens = promptTokens; tokens >= MIN_PROMPT_TOKENS; tokens = Math.floor(tokens / 2)) {
    for (const share of SHARES) {
      const smaller = await planIfItFits(runtime, tokens, Math.ceil(tokens * share));
      if (smaller === undefined) continue;
      return new GpuOutOfMemoryError(label, bytes, allocatedBytes, { cause: error, smaller });
    }
  }
  return error;
}

async function planIfItFits(
  { gpu, config, passTokens, cache: { options, shape } }: Runtime,
  promptTokens: number,
  budget: number,
): Promise<SmallerPlan | undefined> {
  const { name } = options.policy;
  const policy = name === "full" ? "pyramidkv" : (name as SmallerPlan["cache"]["policy"]);
  const cache: CacheOptions = { policy, budget, kvDtype: shape.dtype };
  const model = { ...config, tiesEmbedding: true, qkvBias: false }; // of the weights, which are there
  const hiddenBytes = passTokens * config.hiddenSize * 4;
  let plan: MemoryPlan;
  try {
    plan = planMemory({ model, weights: 0, tokens: promptTokens, cache, hiddenBytes });
  } catch (error) {
    if (error instanceof InvalidOptionError) return undefined; // the budget holds no window
    throw error;
  }
  const bytes = plan.peak - plan.decode.activations - plan.decode.uniforms;
  if (!(await canAllocate(gpu, Math.ceil(MARGIN * bytes)))) return undefined;
  return { promptTokens, cache: { policy, budget }, bytes };
}
