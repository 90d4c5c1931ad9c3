import { ModelFormatError } from "../errors.ts";
import type { SafetensorsInfo } from "../formats/safetensors.ts";
import { weightInfo } from "../formats/safetensors-model.ts";
import type { TensorFile, TensorInfo } from "../formats/tensor-types.ts";
import { architectureOf, type ModelConfig } from "./config.ts";

/** Parts of a layer by their name in GGUF. */
const LAYER_PARTS: Readonly<Record<string, string>> = {
  "attn_norm.weight": "input_layernorm.weight",
  "attn_q.weight": "self_attn.q_proj.weight",
  "attn_k.weight": "self_attn.k_proj.weight",
  "attn_v.weight": "self_attn.v_proj.weight",
  "attn_output.weight": "self_attn.o_proj.weight",
  "ffn_norm.weight": "post_attention_layernorm.weight",
  "ffn_gate.weight": "mlp.gate_proj.weight",
  "ffn_up.weight": "mlp.up_proj.weight",
  "ffn_down.weight": "mlp.down_proj.weight",
};

const BIASES: Readonly<Record<string, string>> = {
  "attn_q.bias": "self_attn.q_proj.bias",
  "attn_k.bias": "self_attn.k_proj.bias",
  "attn_v.bias": "self_attn.v_proj.bias",
};

/**
 * The tensors that a model needs, by the names that they have in GGUF files; further ones are left alone.
 *
 * @param file name of the model, for messages.
 * @throws ModelFormatError where one is missing, UnsupportedModelError where one is neither F32, F16 nor BF16.
 */
export function hfTensors(
  file: string,
  tensors: ReadonlyMap<string, SafetensorsInfo>,
  config: ModelConfig,
  isTied: boolean,
): TensorFile {
  const found = new Map<string, TensorInfo>();
  const take = (name: string, hfName: string): void => {
    const info = tensors.get(hfName);
    if (info === undefined) {
      throw new ModelFormatError(file, `tensor "${hfName}"`, "there", "nothing");
    }
    found.set(name, weightInfo(file, info));
  };
  take("token_embd.weight", "model.embed_tokens.weight");
  const parts = architectureOf(config).qkvBias ? { ...LAYER_PARTS, ...BIASES } : LAYER_PARTS;
  for (let layer = 0; layer < config.numLayers; layer++) {
    for (const [name, hfName] of Object.entries(parts)) {
      take(`blk.${layer}.${name}`, `model.layers.${layer}.${hfName}`);
    }
  }
  take("output_norm.weight", "model.norm.weight");
  if (!isTied) take("output.weight", "lm_head.weight");
  return { name: file, tensors: found };
}
