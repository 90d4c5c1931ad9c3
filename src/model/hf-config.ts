import { ModelFormatError, UnsupportedModelError } from "../errors.ts";
import {
  type JsonFields,
  jsonBool,
  jsonFields,
  jsonNumber,
  jsonString,
  jsonUint,
} from "../formats/json-fields.ts";
import { quote } from "../formats/quote.ts";
import { checkShape, type ModelConfig } from "./config.ts";
import type { Llama3RopeScaling } from "./rope.ts";

/** Architectures by `model_type`, as `ARCHITECTURES` calls them. */
const MODEL_TYPES: Readonly<Record<string, string>> = {
  llama: "llama",
  mistral: "llama",
  qwen2: "qwen2",
};

/** Switches of a `config.json` that no kernel follows, with the only value that is served. */
const FIXED: Readonly<Record<string, boolean>> = {
  attention_bias: false,
  mlp_bias: false,
  use_sliding_window: false,
};

/** What a `config.json` says beside the model's shape. */
export interface HfConfig {
  readonly config: ModelConfig;
  /** The lm head is the embedding. */
  readonly isTied: boolean;
}

/**
 * Read the shape of a model from Hugging Face's `config.json`, as transformers 4 and 5 write it.
 *
 * @param name of the model.
 * @throws UnsupportedModelError for an architecture, a RoPE scaling or a switch that is not built in; ModelFormatError
 *   where numbers are missing or contradict each other.
 */
export function readHfConfig(json: JsonFields, name: string): HfConfig {
  const type = jsonString(json, "model_type");
  const architecture = Object.hasOwn(MODEL_TYPES, type) ? MODEL_TYPES[type] : undefined;
  if (architecture === undefined) {
    throw new UnsupportedModelError(`architecture ${quote(type)}`, Object.keys(MODEL_TYPES));
  }
  checkFixed(json, type);
  const count = (key: string, max: number, fallback?: number): number => {
    const value = fallback === undefined ? jsonUint(json, key) : jsonUint(json, key, fallback);
    if (value >= 1 && value <= max) return value;
    throw new ModelFormatError(json.file, `"${key}"`, `from 1 to ${max}`, String(value));
  };
  const numHeads = count("num_attention_heads", 1024);
  const hiddenSize = count("hidden_size", 1 << 16);
  const headDim = count("head_dim", 1 << 12, Math.floor(hiddenSize / numHeads));
  const config: ModelConfig = {
    name,
    architecture,
    numLayers: count("num_hidden_layers", 1024),
    hiddenSize,
    numHeads,
    numKvHeads: count("num_key_value_heads", 1024, numHeads),
    headDim,
    intermediateSize: count("intermediate_size", 1 << 20),
    vocabSize: count("vocab_size", 1 << 20),
    contextLength: count("max_position_embeddings", 1 << 30),
    rmsNormEps: jsonNumber(json, "rms_norm_eps", 1e-6),
    ropeDim: headDim,
    ...readRope(json),
    ropeStyle: "half",
  };
  checkShape(json.file, config);
  return { config, isTied: jsonBool(json, "tie_word_embeddings", false) };
}

function checkFixed(json: JsonFields, type: string): void {
  const refuse = (what: string, supported: string): never => {
    throw new UnsupportedModelError(`${json.file}: ${what}`, [supported]);
  };
  for (const [key, served] of Object.entries(FIXED)) {
    const value = jsonBool(json, key, served);
    if (value !== served) refuse(`${key} = ${value}`, String(served));
  }
  // Qwen 2 has a window that its switch above turns off.
  if (type !== "qwen2" && jsonUint(json, "sliding_window", undefined) !== undefined) {
    refuse("a sliding window", "attention to the whole context");
  }
  const activation = jsonString(json, "hidden_act", "silu");
  if (activation !== "silu") refuse(`activation ${quote(activation)}`, "silu");
  if (jsonFields(json, "quantization_config", undefined) !== undefined) {
    refuse(
      "quantised weights",
      'F32, F16 and BF16 (quantised on load with `weights: "q4"`), or a GGUF file',
    );
  }
}

/** The parameters lie at the top and in `rope_scaling` (transformers 4), or all in `rope_parameters` (5). */
function readRope(json: JsonFields): Pick<ModelConfig, "ropeTheta" | "ropeScale" | "ropeLlama3"> {
  const none: JsonFields = { file: json.file, object: {} };
  const parameters = jsonFields(json, "rope_parameters", undefined);
  const rope = parameters ?? jsonFields(json, "rope_scaling", none);
  const ropeTheta = jsonNumber(parameters ?? json, "rope_theta", 10_000);
  const partial = jsonNumber(
    rope,
    "partial_rotary_factor",
    jsonNumber(json, "partial_rotary_factor", 1),
  );
  const type = jsonString(rope, "rope_type", jsonString(rope, "type", "default"));
  if (partial !== 1) {
    throw new UnsupportedModelError(`RoPE over ${partial} of a head`, ["RoPE over whole heads"]);
  }
  switch (type) {
    case "default":
      return { ropeTheta, ropeScale: 1 };
    case "linear":
      return { ropeTheta, ropeScale: jsonNumber(rope, "factor") };
    case "llama3":
      return { ropeTheta, ropeScale: 1, ropeLlama3: readLlama3(rope) };
    default:
      throw new UnsupportedModelError(`RoPE scaling ${quote(type)}`, [
        "default",
        "linear",
        "llama3",
      ]);
  }
}

function readLlama3(rope: JsonFields): Llama3RopeScaling {
  const scaling = {
    factor: jsonNumber(rope, "factor"),
    lowFreqFactor: jsonNumber(rope, "low_freq_factor"),
    highFreqFactor: jsonNumber(rope, "high_freq_factor"),
    originalContext: jsonUint(rope, "original_max_position_embeddings"),
  };
  const { factor, lowFreqFactor, highFreqFactor, originalContext } = scaling;
  if (factor > 0 && lowFreqFactor > 0 && highFreqFactor > lowFreqFactor && originalContext > 0) {
    return scaling;
  }
  const expected = "positive, the high frequency factor above the low one";
  throw new ModelFormatError(rope.file, "llama3 RoPE scaling", expected, JSON.stringify(scaling));
}
