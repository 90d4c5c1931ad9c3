"""Random weights of a tiny model, and the GGUF file with them."""

import math
from pathlib import Path

import gguf
import numpy as np

import tiny_vocab
from golden_file import SEED
from reference import permute
from tiny_quants import quantize
from tiny_shapes import Shape

LOGIT_STD = 3.0


def random_weights(shape: Shape, rng: np.random.Generator, special_ids: list[int]) -> dict:
    """HF-ordered f32 weights by GGUF name: spread logits, attention neither flat nor one-hot."""

    def matrix(rows: int, cols: int, gain: float) -> np.ndarray:
        return (rng.standard_normal((rows, cols)) * gain / math.sqrt(cols)).astype(np.float32)

    def norm() -> np.ndarray:
        return (1 + 0.2 * rng.standard_normal(shape.hidden)).astype(np.float32)

    q_rows, kv_rows = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    embed = matrix(tiny_vocab.VOCAB_SIZE, shape.hidden, LOGIT_STD)
    out = matrix(tiny_vocab.VOCAB_SIZE, shape.hidden, LOGIT_STD)
    for table in (embed, out):
        table[special_ids] *= 0.1  # never the greedy choice: goldens don't end early
    weights = {"token_embd.weight": embed, "output_norm.weight": norm()}
    if not shape.tied:
        weights["output.weight"] = out
    for i in range(shape.layers):
        layer = {
            "attn_norm.weight": norm(),
            "attn_q.weight": matrix(q_rows, shape.hidden, 1.3),
            "attn_k.weight": matrix(kv_rows, shape.hidden, 1.3),
            "attn_v.weight": matrix(kv_rows, shape.hidden, 1.0),
            "attn_output.weight": matrix(shape.hidden, q_rows, 1.5),
            "ffn_norm.weight": norm(),
            "ffn_gate.weight": matrix(shape.intermediate, shape.hidden, 1.5),
            "ffn_up.weight": matrix(shape.intermediate, shape.hidden, 1.0),
            "ffn_down.weight": matrix(shape.hidden, shape.intermediate, 1.5),
        }
        if shape.arch == "qwen2":
            for name, rows in (("q", q_rows), ("k", kv_rows), ("v", kv_rows)):
                bias = rng.standard_normal(rows).astype(np.float32) * 0.5
                layer[f"attn_{name}.bias"] = bias
        weights.update({f"blk.{i}.{name}": w for name, w in layer.items()})
    return weights


def rope_factors(shape: Shape) -> np.ndarray:
    """Divisors of the angles: 1 for short waves, `factor` for long ones, smooth between."""
    rope = shape.rope
    inv_freq = shape.rope_base ** (-np.arange(0, shape.head_dim, 2) / shape.head_dim)
    turns = rope["original_max_position_embeddings"] * inv_freq / (2 * math.pi)
    smooth = (turns - rope["low_freq_factor"]) / (rope["high_freq_factor"] - rope["low_freq_factor"])
    smooth = np.clip(smooth, 0, 1)
    return (1 / ((1 - smooth) / rope["factor"] + smooth)).astype(np.float32)


def tensor_type(shape: Shape, name: str) -> str:
    parts = name.split(".")
    if parts[-1] == "bias" or "norm" in name:
        return "F32"
    kind, layer = (parts[2], int(parts[1])) if parts[0] == "blk" else (parts[0], 0)
    return shape.types.get(kind, ["Q8_0"] * shape.layers)[layer]


def write_gguf(shape: Shape, path: Path, unpack: bool = False) -> dict[str, str]:
    """Writes the model and returns its tensor types; `unpack` decodes every tensor to f32 again."""
    writer = gguf.GGUFWriter(path, shape.arch)
    writer.add_name(shape.name)
    writer.add_license("apache-2.0")
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.hidden)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.intermediate)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    if shape.heads * shape.head_dim != shape.hidden:
        writer.add_key_length(shape.head_dim)
        writer.add_value_length(shape.head_dim)
    if shape.arch == "llama":
        writer.add_rope_dimension_count(shape.head_dim)
        writer.add_vocab_size(tiny_vocab.VOCAB_SIZE)
    writer.add_rope_freq_base(shape.rope_base)
    writer.add_layer_norm_rms_eps(1e-5)
    special_ids = tiny_vocab.add_to(writer, shape.pre, shape.specials_first)
    types = {}
    if shape.rope:
        writer.add_tensor("rope_freqs.weight", rope_factors(shape))
        types["rope_freqs.weight"] = "F32"
    rng = np.random.default_rng([SEED, *shape.name.encode()])
    for name, weight in random_weights(shape, rng, special_ids).items():
        heads = {"attn_q": shape.heads, "attn_k": shape.kv_heads}.get(name.split(".")[-2])
        if shape.arch == "llama" and heads:
            weight = permute(weight, heads)
        types[name] = tensor_type(shape, name)
        raw_type = gguf.GGMLQuantizationType[types[name]]
        data = quantize(weight, types[name])
        if unpack:
            data = gguf.quants.dequantize(data, raw_type).astype(np.float32)
            raw_type = gguf.GGMLQuantizationType.F32
        writer.add_tensor(name, data, raw_dtype=raw_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return types
