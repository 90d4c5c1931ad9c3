import { compressedFixedBytes } from "../cache/layout.ts";
import type { ResolvedCacheOptions } from "../cache/options.ts";
import { GpuOutOfMemoryError, type OutOfMemoryFacts } from "../errors.ts";
import type { QuantizedWeights, TensorFile } from "../formats/tensor-types.ts";
import { availableOf, canAllocate, MARGIN } from "../gpu/can-allocate.ts";
import type { GpuContext } from "../gpu/device.ts";
import type { ModelConfig } from "../model/config.ts";
import { fileWeightBytes } from "../model/layouts.ts";
import { quantizingBytes } from "../model/quantize-plan.ts";
import { planMemory } from "../profile/plan.ts";
import { TEST_TOKENS } from "./self-test.ts";

/** The larger first. */
const WEIGHTS: readonly QuantizedWeights[] = ["q8", "q4"];

/** GPU bytes that loading takes at its highest point: the self-test, or where the last matrix is quantised. */
export function loadBytes(
  file: TensorFile,
  config: ModelConfig,
  { kvDtype, windowSize }: ResolvedCacheOptions,
): number {
  const { numLayers, numHeads, numKvHeads, headDim } = config;
  const shape = { numLayers, numHeads, numKvHeads, headDim, dtype: kvDtype };
  const weights = fileWeightBytes(file);
  const plan = planMemory({
    model: config,
    weights,
    tokens: TEST_TOKENS.length,
    cache: { kvDtype },
  });
  const peak = Math.max(plan.peak, weights + quantizingBytes(file));
  return peak + compressedFixedBytes(shape, windowSize);
}

/** A model that did not fit. */
export interface UnfitModel {
  readonly label: string;
  /** What loading it takes. */
  readonly needed: number;
  /** The same with matrices of floats quantised so. */
  readonly bytesWith: (weights: QuantizedWeights) => number;
}

/**
 * The error of a model that did not fit, with what could be had, and how floats may be quantised on load so that it
 * fits: those bytes could be had a moment ago. The error itself, where it wasn't for want of memory in all.
 */
export async function withSmallerWeights(
  gpu: GpuContext,
  error: GpuOutOfMemoryError,
  { label, needed, bytesWith }: UnfitModel,
): Promise<GpuOutOfMemoryError> {
  const fits = (bytes: number): Promise<boolean> => canAllocate(gpu, Math.ceil(MARGIN * bytes));
  if (await fits(needed)) return error;
  const availableBytes = await availableOf(gpu, needed);
  let facts: OutOfMemoryFacts = { cause: error, availableBytes };
  for (const weights of WEIGHTS) {
    const bytes = bytesWith(weights);
    if (bytes >= needed || !(await fits(bytes))) continue;
    facts = { ...facts, smallerWeights: { weights, bytes } };
    break;
  }
  return new GpuOutOfMemoryError(label, needed, gpu.buffers.now.total, facts);
}
