"""The reference model of a GGUF file: transformers in f32 on the dequantised weights.

Built from the file's own metadata and tensors (`gguf` package), because the importer of transformers
drops `rope_freqs.weight`; `make_golden.py` asserts that both give the same weights otherwise.
"""

from pathlib import Path

import gguf
import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

from golden_file import SEED

CLASSES = {"llama": (LlamaConfig, LlamaForCausalLM), "qwen2": (Qwen2Config, Qwen2ForCausalLM)}
MODEL_NAMES = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
LAYER_NAMES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def setup() -> None:
    """One thread, so that sums keep their order; fixed seed; no gradients."""
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    torch.set_grad_enabled(False)


def hf_name(name: str) -> str:
    """`blk.0.attn_q.weight` -> `model.layers.0.self_attn.q_proj.weight`."""
    parts = name.split(".")
    if parts[0] == "blk":
        return f"model.layers.{parts[1]}.{LAYER_NAMES[parts[2]]}.{parts[3]}"
    return f"{MODEL_NAMES[parts[0]]}.{parts[1]}"


def permute(weight: np.ndarray, num_heads: int) -> np.ndarray:
    """Rows of q or k from rotated halves (transformers) to interleaved pairs (GGUF `llama`)."""
    half = weight.shape[0] // num_heads // 2
    return weight.reshape(num_heads, 2, half, -1).swapaxes(1, 2).reshape(weight.shape)


def unpermute(weight: np.ndarray, num_heads: int) -> np.ndarray:
    """Inverse of `permute`."""
    half = weight.shape[0] // num_heads // 2
    return weight.reshape(num_heads, half, 2, -1).swapaxes(1, 2).reshape(weight.shape)


def config_of(meta: dict, tensors: dict):
    arch = meta["general.architecture"]
    heads = meta[f"{arch}.attention.head_count"]
    hidden = meta[f"{arch}.embedding_length"]
    return CLASSES[arch][0](
        vocab_size=int(tensors["token_embd.weight"].shape[1]),
        hidden_size=hidden,
        intermediate_size=meta[f"{arch}.feed_forward_length"],
        num_hidden_layers=meta[f"{arch}.block_count"],
        num_attention_heads=heads,
        num_key_value_heads=meta[f"{arch}.attention.head_count_kv"],
        head_dim=meta.get(f"{arch}.attention.key_length", hidden // heads),
        max_position_embeddings=meta[f"{arch}.context_length"],
        rms_norm_eps=meta[f"{arch}.attention.layer_norm_rms_epsilon"],
        rope_parameters={"rope_type": "default", "rope_theta": meta[f"{arch}.rope.freq_base"]},
        tie_word_embeddings="output.weight" not in tensors,
        bos_token_id=meta["tokenizer.ggml.bos_token_id"],
        eos_token_id=meta["tokenizer.ggml.eos_token_id"],
        attn_implementation="sdpa",
    )


def load_model(path: Path, change=lambda tensor, values: values):
    """The transformers model of a GGUF file, f32, with attention through sdpa.

    `change` may put other values in the place of a tensor's dequantised ones.
    """
    reader = gguf.GGUFReader(path)
    meta = {k: f.contents() for k, f in reader.fields.items() if not k.startswith("GGUF.")}
    tensors = {t.name: t for t in reader.tensors}
    config = config_of(meta, tensors)
    model = CLASSES[config.model_type][1](config).to(torch.float32)
    head_counts = {"attn_q": config.num_attention_heads, "attn_k": config.num_key_value_heads}
    missing = dict(model.named_parameters())
    for name, tensor in tensors.items():
        values = gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
        values = change(tensor, values)
        part = name.split(".")[-2]
        if name == "rope_freqs.weight":
            model.model.rotary_emb.inv_freq /= torch.from_numpy(values)
            continue
        if config.model_type == "llama" and part in head_counts:
            values = unpermute(values, head_counts[part])
        param = missing.pop(hf_name(name))
        assert tuple(param.shape) == values.shape, (name, tuple(param.shape), values.shape)
        param.data.copy_(torch.from_numpy(values))
    assert not missing, f"not in the file: {sorted(missing)}"
    return model.eval()


def logits_of(model, ids: list[int]) -> torch.Tensor:
    """One full forward without a cache: (len(ids), vocab), widened to f64."""
    return model(torch.tensor([ids]), use_cache=False).logits[0].double()


def logprobs_of(logits: torch.Tensor, targets: list[int]) -> list[float]:
    """Natural log-probability of each target under its row of logits, computed in f64."""
    rows = torch.log_softmax(logits.double(), dim=-1)
    return rows.gather(1, torch.tensor(targets)[:, None])[:, 0].tolist()


def margins_of(logits: torch.Tensor) -> list[float]:
    """Best logit minus second best, per row."""
    top = logits.topk(2, dim=-1).values
    return (top[:, 0] - top[:, 1]).tolist()


def score(model, ids: list[int], context: int) -> dict:
    """Teacher-forced log-probability of ids[context:], with the margins of those rows."""
    logits = logits_of(model, ids)[context - 1 : -1]
    return {"logprobs": logprobs_of(logits, ids[context:]), "margins": margins_of(logits)}


def greedy(model, prompt: list[int], max_tokens: int) -> dict:
    """Greedy ids (the stop id, if reached, is the last) with the margins of a full forward."""
    ids, past, step = list(prompt), None, list(prompt)
    for _ in range(max_tokens):
        out = model(torch.tensor([step]), past_key_values=past, use_cache=True)
        past, step = out.past_key_values, [int(out.logits[0, -1].argmax())]
        ids += step
        if step[0] == model.config.eos_token_id:
            break
    new = ids[len(prompt) :]
    logits = logits_of(model, ids)[len(prompt) - 1 : -1]
    margins = margins_of(logits)
    for token, best, margin in zip(new, logits.argmax(-1).tolist(), margins):
        assert token == best or margin < 1e-3, "cached and full forward disagree"
    stopped = new[-1] == model.config.eos_token_id
    return {
        "tokenIds": new,
        "margins": margins,
        "finishReason": "stop" if stopped else "length",
        "stepsBeforeCloseCall": steps_before_close_call(margins),
    }


def steps_before_close_call(margins: list[float], limit: float = 0.02) -> int:
    """How many leading steps have a margin of at least `limit` logits."""
    return next((i for i, margin in enumerate(margins) if margin < limit), len(margins))
