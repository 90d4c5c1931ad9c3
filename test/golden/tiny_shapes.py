"""The shapes of the tiny models and which tensor has which type."""

from dataclasses import dataclass, field

# What convert_hf_to_gguf.py writes as rope_freqs.weight for a `llama3` rope scaling.
LLAMA3_ROPE = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
               "original_max_position_embeddings": 256}


@dataclass
class Shape:
    name: str
    arch: str
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    context: int
    rope_base: float
    pre: str
    specials_first: bool
    tied: bool
    rope: dict | None
    types: dict[str, list[str]] = field(default_factory=dict)  # per tensor kind, by layer


SHAPES = [
    Shape(
        "tiny-llama", "llama", hidden=256, layers=4, heads=16, kv_heads=8, head_dim=32,
        intermediate=256, context=2048, rope_base=10000.0, pre="smollm", specials_first=True,
        tied=True, rope=LLAMA3_ROPE,
        types={
            "token_embd": ["Q6_K"],
            "attn_q": ["Q4_K", "Q4_0", "Q5_K", "Q4_1"],
            "attn_k": ["Q5_0", "Q4_K", "Q4_0", "Q8_0"],
            "attn_v": ["Q6_K", "Q5_1", "Q4_K", "Q4_0"],
            "attn_output": ["Q4_K", "Q4_1", "Q4_0", "Q4_K"],
            "ffn_gate": ["Q4_K", "Q4_0", "Q4_1", "Q4_K"],
            "ffn_up": ["Q4_K", "Q5_K", "Q4_0", "Q4_0"],
            "ffn_down": ["Q6_K", "Q4_K", "Q4_1", "Q4_0"],
        },
    ),
    Shape(
        "tiny-qwen2", "qwen2", hidden=512, layers=2, heads=4, kv_heads=2, head_dim=128,
        intermediate=96, context=1024, rope_base=1000000.0, pre="qwen2", specials_first=False,
        tied=False, rope=None,
        types={
            "token_embd": ["Q4_K"],
            "output": ["Q5_0"],
            "attn_q": ["Q4_0", "Q4_K"],
            "attn_k": ["Q5_K", "Q4_1"],
            "attn_v": ["Q4_0", "Q6_K"],
            "attn_output": ["Q4_K", "Q4_0"],
            "ffn_gate": ["Q4_0", "Q5_1"],
            "ffn_up": ["Q4_1", "Q8_0"],
            "ffn_down": ["Q8_0", "Q5_0"],  # 96 columns: no K-quants
        },
    ),
    Shape(
        "tiny-flow", "llama", hidden=128, layers=4, heads=4, kv_heads=2, head_dim=32,
        intermediate=160, context=8192, rope_base=100000.0, pre="smollm", specials_first=True,
        tied=True, rope=None,
        types={"token_embd": ["Q8_0"], "attn_k": ["F16", "BF16", "F32", "Q8_0"]},
    ),
]
