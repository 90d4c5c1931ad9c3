import { ModelFormatError, UnsupportedModelError } from "../errors.ts";
import type { GgufFile } from "../formats/gguf.ts";
import { getFloat, getString, getUint } from "../formats/metadata.ts";
import { quote } from "../formats/quote.ts";
import { ARCHITECTURES, type Architecture, type RopeStyle } from "./architectures.ts";
import { type Llama3RopeScaling, MIN_ROPE_DIVISOR } from "./rope.ts";

/** The shape of a decoder; field names as Hugging Face has them, in camel case. */
export interface ModelConfig {
  /** `general.name` of the file, or its file name. */
  readonly name: string;
  /** A key of `ARCHITECTURES`. */
  readonly architecture: string;
  readonly numLayers: number;
  readonly hiddenSize: number;
  readonly numHeads: number;
  readonly numKvHeads: number;
  readonly headDim: number;
  readonly intermediateSize: number;
  readonly vocabSize: number;
  /** Most positions that the model was trained for. */
  readonly contextLength: number;
  readonly rmsNormEps: number;
  readonly ropeTheta: number;
  /** Leading dimensions of a head that RoPE rotates. */
  readonly ropeDim: number;
  /** Positions are divided by this (linear RoPE scaling); 1 where there is none. */
  readonly ropeScale: number;
  /** Llama 3's scaling, where the file gives it by its parameters (GGUF files: by a tensor of factors). */
  readonly ropeLlama3?: Llama3RopeScaling;
  /** Which pairs of a head RoPE rotates: (2i, 2i + 1), or (i, i + headDim / 2). */
  readonly ropeStyle: RopeStyle;
}

/** Head sizes that the attention kernels are built for: multiples of 32 up to this. */
const MAX_HEAD_DIM = 256;

/**
 * Read the shape of a model from GGUF metadata.
 * @throws UnsupportedModelError for an architecture or a RoPE scaling that is not built in,
 * ModelFormatError where the numbers are missing or contradict each other.
 */
export function readModelConfig(file: GgufFile): ModelConfig {
  const architecture = getString(file, "general.architecture");
  if (!Object.hasOwn(ARCHITECTURES, architecture)) {
    throw new UnsupportedModelError(`architecture "${architecture}"`, Object.keys(ARCHITECTURES));
  }
  const key = (name: string): string => `${architecture}.${name}`;
  const count = (name: string, max: number, fallback?: number): number => {
    const value =
      fallback === undefined ? getUint(file, key(name)) : getUint(file, key(name), fallback);
    if (value >= 1 && value <= max) return value;
    const field = `metadata ${quote(key(name))}`;
    throw new ModelFormatError(file.name, field, `from 1 to ${max}`, String(value));
  };
  const numHeads = count("attention.head_count", 1024);
  const hiddenSize = count("embedding_length", 1 << 16);
  const headDim = count("attention.key_length", 1 << 12, Math.floor(hiddenSize / numHeads));
  const config: ModelConfig = {
    name: getString(file, "general.name", file.name),
    architecture,
    numLayers: count("block_count", 1024),
    hiddenSize,
    numHeads,
    numKvHeads: count("attention.head_count_kv", 1024, numHeads),
    headDim,
    intermediateSize: count("feed_forward_length", 1 << 20),
    vocabSize: vocabSize(file),
    contextLength: count("context_length", 1 << 30),
    rmsNormEps: getFloat(file, key("attention.layer_norm_rms_epsilon")),
    ropeTheta: getFloat(file, key("rope.freq_base"), 10000),
    ropeDim: count("rope.dimension_count", 1 << 12, headDim),
    ropeScale: readRopeScale(file, architecture),
    ropeStyle: (ARCHITECTURES[architecture] as Architecture).ggufRopeStyle,
  };
  checkShape(file.name, config);
  return config;
}

/** How the model's architecture differs from the others. */
export function architectureOf(config: ModelConfig): Architecture {
  return ARCHITECTURES[config.architecture] as Architecture;
}

function vocabSize(file: GgufFile): number {
  const rows = file.tensors.get("token_embd.weight")?.shape[0];
  if (rows === undefined) {
    throw new ModelFormatError(file.name, 'tensor "token_embd.weight"', "there", "nothing");
  }
  return rows;
}

/** Llama 3's own scaling comes as a tensor of factors (`rope_freqs.weight`), not as metadata. */
function readRopeScale(file: GgufFile, architecture: string): number {
  const type = getString(file, `${architecture}.rope.scaling.type`, "none");
  if (type === "none") return 1;
  if (type !== "linear") {
    throw new UnsupportedModelError(`RoPE scaling "${type}"`, ["none", "linear", "Llama 3"]);
  }
  return getFloat(file, `${architecture}.rope.scaling.factor`);
}

/**
 * Throws where the numbers contradict each other or ask for what no kernel does; the fields are called as in `ModelConfig`.
 */
export function checkShape(file: string, config: ModelConfig): void {
  const { numHeads, numKvHeads, headDim, ropeDim, hiddenSize, intermediateSize } = config;
  if (numHeads % numKvHeads !== 0) {
    const expected = `a divisor of ${numHeads} heads`;
    throw new ModelFormatError(file, "numKvHeads", expected, String(numKvHeads));
  }
  if (ropeDim > headDim || ropeDim % 2 !== 0) {
    const expected = `even, at most ${headDim}`;
    throw new ModelFormatError(file, "ropeDim", expected, String(ropeDim));
  }
  if (!(config.rmsNormEps > 0)) {
    throw new ModelFormatError(file, "rmsNormEps", "above 0", String(config.rmsNormEps));
  }
  for (const [field, value, least] of [
    ["ropeTheta", config.ropeTheta, 1],
    ["ropeScale", config.ropeScale, MIN_ROPE_DIVISOR],
  ] as const) {
    if (value >= least) continue;
    throw new ModelFormatError(file, field, `at least ${least}`, String(value));
  }
  if (headDim % 32 !== 0 || headDim > MAX_HEAD_DIM) {
    throw new UnsupportedModelError(`head size ${headDim}`, [
      `multiples of 32 up to ${MAX_HEAD_DIM}`,
    ]);
  }
  for (const width of [hiddenSize, intermediateSize]) {
    if (width % 32 !== 0) throw new UnsupportedModelError(`width ${width}`, ["multiples of 32"]);
  }
}
