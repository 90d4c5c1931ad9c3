import { InvalidOptionError } from "../errors.ts";
import type { ModelShape } from "./plan.ts";

function preset(
  name: string,
  numLayers: number,
  hiddenSize: number,
  heads: readonly [numHeads: number, numKvHeads: number, headDim: number],
  intermediateSize: number,
  vocabSize: number,
  contextLength: number,
  more: Partial<Pick<ModelShape, "tiesEmbedding" | "qkvBias">> = {},
): ModelShape {
  const [numHeads, numKvHeads, headDim] = heads;
  return {
    ...{ name, numLayers, hiddenSize, numHeads, numKvHeads, headDim, intermediateSize },
    ...{ vocabSize, contextLength, tiesEmbedding: true, qkvBias: false, ...more },
  };
}

/** Shapes of well-known models, as their `config.json` files have them. */
export const MODEL_SHAPES: readonly ModelShape[] = [
  preset("SmolLM2-135M", 30, 576, [9, 3, 64], 1536, 49152, 8192),
  preset("SmolLM2-360M", 32, 960, [15, 5, 64], 2560, 49152, 8192),
  preset("SmolLM2-1.7B", 24, 2048, [32, 32, 64], 8192, 49152, 8192),
  preset("Qwen2.5-0.5B", 24, 896, [14, 2, 64], 4864, 151936, 32768, { qkvBias: true }),
  preset("Llama-3.2-1B", 16, 2048, [32, 8, 64], 8192, 128256, 131072),
  preset("Llama-3.1-8B", 32, 4096, [32, 8, 128], 14336, 128256, 131072, { tiesEmbedding: false }),
];

/** Numbers of a shape that no model exceeds: what is larger is a mistake. */
const MOST = 2 ** 24;

/**
 * The shape in a Hugging Face `config.json`.
 * @throws InvalidOptionError naming the field that is missing or makes no sense.
 */
export function shapeFromConfig(text: string): ModelShape {
  let config: Record<string, unknown>;
  try {
    config = JSON.parse(text) as Record<string, unknown>;
  } catch {
    throw new InvalidOptionError("config.json", text.slice(0, 20), "JSON");
  }
  const count = (name: string, fallback?: number): number => {
    const value = config?.[name] ?? fallback;
    if (!Number.isInteger(value) || (value as number) < 1 || (value as number) > MOST) {
      throw new InvalidOptionError(name, value, `a whole number from 1 to ${MOST}`);
    }
    return value as number;
  };
  const numHeads = count("num_attention_heads");
  const numKvHeads = count("num_key_value_heads", numHeads);
  if (numHeads % numKvHeads !== 0) {
    throw new InvalidOptionError("num_key_value_heads", numKvHeads, `a divisor of ${numHeads}`);
  }
  const hiddenSize = count("hidden_size");
  const headDim = count("head_dim", Math.floor(hiddenSize / numHeads));
  const heads = [numHeads, numKvHeads, headDim] as const;
  const kind = String(config["model_type"] ?? "model");
  const layers = count("num_hidden_layers");
  const wide = count("intermediate_size");
  const context = count("max_position_embeddings", 4096);
  return preset(kind, layers, hiddenSize, heads, wide, count("vocab_size"), context, {
    tiesEmbedding: config["tie_word_embeddings"] === true,
    qkvBias: kind === "qwen2",
  });
}
