import {
  compressedRowBytes,
  fullCacheBytes,
  type KvShape,
  kvRowBytes,
  shareOf,
} from "../cache/layout.ts";
import { type CacheOptions, resolveCacheOptions } from "../cache/options.ts";
import { planPrompt } from "../cache/plan-prompt.ts";
import { InvalidOptionError } from "../errors.ts";
import { planarLayout } from "../formats/planar.ts";
import { groupedBytes } from "../formats/row-groups.ts";
import type { TensorType } from "../formats/tensor-types.ts";
import { SLOT_BYTES } from "../gpu/recorder.ts";
import {
  type ActivationShape,
  decodeBytes,
  passTokens,
  PREFILL_DISPATCHES,
  prefillActivationBytes,
} from "../model/activation-sizes.ts";

/** What a plan has to know of a model. */
export interface ModelShape extends ActivationShape {
  readonly name: string;
  readonly numLayers: number;
  readonly vocabSize: number;
  readonly contextLength: number;
  /** The embedding serves as the lm head too. */
  readonly tiesEmbedding?: boolean;
  /** The Q, K and V projections add a bias. */
  readonly qkvBias?: boolean;
}

/** How the weights are quantised: the types of the layers' matrices and of the embedding. */
export type WeightFormat = "q4" | "q8" | "f16";

const TYPES: Readonly<Record<WeightFormat, { layers: TensorType; embedding: TensorType }>> = {
  q4: { layers: "Q4_1", embedding: "Q8_0" },
  q8: { layers: "Q8_0", embedding: "Q8_0" },
  f16: { layers: "F16", embedding: "F16" },
};

/** A model, a context and a cache whose memory is to be planned. */
export interface PlanRequest {
  readonly model: ModelShape;
  /** How they are quantised, or the bytes that a loaded model has. */
  readonly weights: WeightFormat | number;
  /** Tokens of the prompt. */
  readonly tokens: number;
  /** Prompts of that length whose caches are held at once, read one after another. By default 1. */
  readonly sequences?: number;
  readonly cache: CacheOptions;
  /** Most bytes for hidden states, as `loadEngine` takes it. By default all that the prompt needs. */
  readonly hiddenBytes?: number;
}

/** What a layer would keep; `bytes` add up to `kv.final`, and `fullBytes` to `kv.full`. */
export interface PlannedLayer {
  readonly budget: number;
  readonly length: number;
  readonly capacity: number;
  readonly bytes: number;
  readonly fullBytes: number;
}

/** GPU bytes that a prompt would take, computed as the engine does. */
export interface MemoryPlan {
  readonly weights: number;
  /** Of all sequences. */
  readonly kv: {
    /** After the prompt was read. */
    readonly final: number;
    /** At the highest point while it is read. */
    readonly peak: number;
    /** What policy `full` allocates. */
    readonly full: number;
  };
  /** False: the prompt is shorter than the budget. */
  readonly evicts: boolean;
  /** Passes in which the prompt is read: more than one where its hidden states don't fit. */
  readonly passes: number;
  /** Hidden states and what else a prefill has in work, while it runs. */
  readonly activations: number;
  /** The hidden states among them: one buffer of f32 for all tokens of a pass. */
  readonly hidden: number;
  /** Logits, one row of activations and Params: held as long as the model is loaded. */
  readonly decode: { readonly activations: number; readonly uniforms: number };
  /** Weights, the cache and what decoding holds: after the prompt was read. */
  readonly total: number;
  /** Everything at the highest point while the prompt is read: what has to fit. */
  readonly peak: number;
  /** The same with a full cache. */
  readonly fullPeak: number;
  /** Of one sequence. */
  readonly layers: readonly PlannedLayer[];
}

/**
 * Plan a first prompt for any model, by the scheduler's own code.
 * @throws InvalidOptionError for cache options that the engine would refuse, and for fewer than one token or sequence
 */
export function planMemory(request: PlanRequest): MemoryPlan {
  const { model, weights, tokens, sequences = 1, cache, hiddenBytes = Infinity } = request;
  for (const [name, count] of Object.entries({ tokens, sequences })) {
    if (!(Number.isInteger(count) && count >= 1)) {
      throw new InvalidOptionError(name, count, "a whole number of at least 1");
    }
  }
  const { numLayers, numHeads, numKvHeads, headDim } = model;
  const options = resolveCacheOptions(cache, numLayers);
  const shape: KvShape = { numLayers, numHeads, numKvHeads, headDim, dtype: options.kvDtype };
  const most = passTokens(model, hiddenBytes);
  const plan = planPrompt(shape, options, tokens, most);
  const fullOptions = resolveCacheOptions({ kvDtype: options.kvDtype }, numLayers);
  const full = planPrompt(shape, fullOptions, tokens, most);
  const isFull = options.policy.scorer === null;
  const rowBytes = numKvHeads * (isFull ? 2 * kvRowBytes(shape) : compressedRowBytes(shape));
  const fullBytes = fullCacheBytes({ ...shape, numLayers: 1 }, tokens);
  const rowsBytes = plan.capacities.reduce((sum, capacity) => sum + capacity * rowBytes, 0);
  const shared = plan.bytes.final - rowsBytes;
  const layers = plan.budgets.map((budget, l) => {
    const capacity = plan.capacities[l] as number;
    return {
      budget,
      length: plan.rows[l] as number,
      capacity,
      bytes: capacity * rowBytes + shareOf(shared, numLayers, l),
      fullBytes,
    };
  });
  const weightsOf = typeof weights === "number" ? weights : weightBytes(model, weights);
  const activations = prefillActivationBytes(model, Math.min(tokens, most));
  const decode = decodeBytes(model);
  const held = weightsOf + decode.activations + decode.uniforms;
  const reading = activations + PREFILL_DISPATCHES * SLOT_BYTES;
  // While the last prompt is read, the others' caches are what they will stay.
  const ofAll = ({ final, peak }: { final: number; peak: number }): typeof plan.bytes => ({
    final: sequences * final,
    peak: (sequences - 1) * final + peak,
    full: sequences * plan.bytes.full,
  });
  const kv = ofAll(plan.bytes);
  return {
    weights: weightsOf,
    kv,
    evicts: plan.evicts,
    passes: plan.passes,
    activations,
    hidden: 4 * model.hiddenSize * Math.min(tokens, most),
    decode,
    total: held + kv.final,
    peak: held + kv.peak + reading,
    fullPeak: held + ofAll(full.bytes).peak + reading,
    layers,
  };
}

/** Bytes of a model's weights on the GPU: planar matrices, norms and biases in f32. */
export function weightBytes(model: ModelShape, format: WeightFormat): number {
  const { numLayers, hiddenSize, numHeads, numKvHeads, headDim, intermediateSize } = model;
  const types = TYPES[format];
  const matrix = (type: TensorType, rows: number, cols: number): number => {
    const { quantBytes, scaleBytes } = groupedBytes(planarLayout(type), rows, cols);
    return quantBytes + scaleBytes;
  };
  const attention = numHeads * headDim;
  const qkvRows = attention + 2 * numKvHeads * headDim;
  const layer =
    matrix(types.layers, qkvRows, hiddenSize) +
    matrix(types.layers, hiddenSize, attention) +
    matrix(types.layers, 2 * intermediateSize, hiddenSize) +
    matrix(types.layers, hiddenSize, intermediateSize) +
    4 * (2 * hiddenSize + (model.qkvBias ? qkvRows : 0));
  const vocabulary = matrix(types.embedding, model.vocabSize, hiddenSize);
  return numLayers * layer + (model.tiesEmbedding ? 1 : 2) * vocabulary + 4 * hiddenSize;
}

/** The most tokens of a prompt whose peak stays within `bytes`; 0 if none does. */
export function longestPrompt(request: Omit<PlanRequest, "tokens">, bytes: number): number {
  const fits = (tokens: number): boolean => {
    try {
      return planMemory({ ...request, tokens }).peak <= bytes;
    } catch {
      return false; // a byte budget that holds no window
    }
  };
  let [low, high] = [0, request.model.contextLength];
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (fits(middle)) low = middle;
    else high = middle - 1;
  }
  return low;
}
