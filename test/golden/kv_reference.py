"""Our own reference of cache compression, independent of kvpress and its hooks.

`Prefill` runs a prompt once with the full cache and keeps each layer's queries, keys and values.
Scores, selection and the continuation from kept rows are then computed from these alone.
"""

import math

import torch
from torch.nn import functional as F
from transformers import DynamicCache
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS


class Prefill:
    """One prompt: `queries[l]` (heads, n, d) after RoPE, `keys[l]`, `values[l]` (kv_heads, n, d)."""

    def __init__(self, model, ids: list[int]):
        self.model, self.n = model, len(ids)
        self.queries: list[torch.Tensor] = []
        hooks = [
            layer.self_attn.register_forward_hook(self._capture, with_kwargs=True)
            for layer in model.model.layers
        ]
        cache = DynamicCache()
        out = model(torch.tensor([ids]), past_key_values=cache, logits_to_keep=1)
        for hook in hooks:
            hook.remove()
        self.last_logits = out.logits[0]
        self.keys = [layer.keys[0] for layer in cache.layers]
        self.values = [layer.values[0] for layer in cache.layers]

    def _capture(self, module, args, kwargs, output) -> None:
        hidden = kwargs["hidden_states"]
        q = module.q_proj(hidden).view(1, self.n, -1, module.head_dim).transpose(1, 2)
        self.queries.append(apply_rotary_pos_emb(q, q, *kwargs["position_embeddings"])[0][0])


def window_attention(prefill: Prefill, layer: int, window: int) -> torch.Tensor:
    """(heads, window, n): softmax over all keys of the last `window` queries, causal."""
    q, k = prefill.queries[layer][:, -window:], prefill.keys[layer]
    k = k.repeat_interleave(len(q) // len(k), dim=0)
    logits = q @ k.transpose(1, 2) / math.sqrt(q.shape[-1])
    row = torch.arange(prefill.n - window, prefill.n)[:, None]
    hidden = torch.arange(prefill.n)[None] > row
    return logits.masked_fill(hidden, -math.inf).softmax(-1, dtype=torch.float32)


def pool(scores: torch.Tensor, kind: str, size: int) -> torch.Tensor:
    """Same length; `avg` counts zeros beyond the edges, `max` doesn't."""
    function = {"avg": F.avg_pool1d, "max": F.max_pool1d}[kind]
    return function(scores[None], size, stride=1, padding=size // 2)[0]


def window_scores(prefill: Prefill, layer: int, window: int, kind: str, size: int) -> torch.Tensor:
    """(kv_heads, n - window): mean over window rows and query heads of a KV head, then pooled."""
    rows = window_attention(prefill, layer, window)[..., : -window].mean(1)
    return pool(rows.unflatten(0, (len(prefill.keys[layer]), -1)).mean(1), kind, size)


def select(scores: torch.Tensor, count: int) -> torch.Tensor:
    """Ascending positions of the `count` best of one head; ties go to the lower position."""
    return torch.sort(torch.sort(scores, descending=True, stable=True).indices[:count]).values


def mass_kept(prefill: Prefill, kept: list[torch.Tensor], window: int) -> list[list[float]]:
    """[layer][kv head]: share of the window's attention that lies on kept positions."""
    result = []
    for layer, mask in enumerate(kept):
        rows = window_attention(prefill, layer, window).mean(1)
        rows = rows.unflatten(0, (len(mask), -1)).mean(1).double()
        result.append((rows * mask).sum(-1).tolist())
    return result


def continue_pruned(model, prefill: Prefill, cache, targets: list[int]) -> torch.Tensor:
    """Logits (len(targets), vocab) that predict `targets`, fed one by one with true positions."""
    rows = [prefill.last_logits]
    for i, token in enumerate(targets[:-1]):
        position = torch.tensor([[prefill.n + i]])
        out = model(torch.tensor([[token]]), past_key_values=cache, position_ids=position)
        rows.append(out.logits[0])
    return torch.cat(rows).double()


def continue_masked(model, ids: list[int], n: int, kept: list[torch.Tensor]) -> torch.Tensor:
    """The same from one forward over prompt and continuation, with evicted keys masked per head.

    `kept[l]` is a (kv_heads, n) mask; rows of the prompt see the full prompt.
    """
    row, col = torch.arange(len(ids))[:, None], torch.arange(len(ids))[None]
    causal = col <= row

    def attention(module, query, key, value, attention_mask, dropout=0.0, scaling=None, **kwargs):
        mask = kept[module.layer_idx]
        visible = causal.repeat(len(mask), 1, 1)
        visible[:, n:, :n] = mask[:, None]
        groups = query.shape[1] // len(mask)
        out = F.scaled_dot_product_attention(
            query,
            key.repeat_interleave(groups, dim=1),
            value.repeat_interleave(groups, dim=1),
            attn_mask=visible.repeat_interleave(groups, dim=0)[None],
            scale=scaling,
        )
        return out.transpose(1, 2).contiguous(), None

    ALL_ATTENTION_FUNCTIONS["golden_masked"] = attention
    model.set_attn_implementation("golden_masked")
    logits = model(torch.tensor([ids]), use_cache=False).logits[0, n - 1 : -1].double()
    model.set_attn_implementation("sdpa")
    return logits
