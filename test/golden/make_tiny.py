"""Tiny random models as GGUF files, each with a golden of its own (f32, one thread).

    .venv-golden/bin/python test/golden/make_tiny.py               # writes test/golden/data/tiny-*
    .venv-golden/bin/python test/golden/make_tiny.py --llama-cpp   # and compares with llama.cpp

The environment is described in golden_file.py. Weights come from a fixed seed; the reference model is
loaded back from the file, so that what the file says is what the golden was computed from.
"""

import argparse
import math
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import gguf
import numpy as np
import torch
import transformers
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

import tiny_vocab
from golden_file import DATA, SEED, header, write_json
from reference import greedy, load_model, logits_of, permute, score, setup
from reference_text import encode, load_tokenizer
from tiny_quants import quantize

PROMPT, CONTINUATION, GREEDY_TOKENS = 70, 64, 24
LOGIT_STD = 3.0
TEXTS = [
    "Hello, world! It's 12:30, isn't it?",
    "x = [i * 3 for i in range(100)]\n\n    return x\t# ok  ",
    "na\u00efve caf\u00e9 \u4f60\u597d \U0001f44b\U0001f3fd 3\u00bd\u00b2",
    "<|im_start|>user\nhi<|im_end|>\n",
]
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


def check_model(shape: Shape, model, path: Path) -> None:
    """transformers' importer agrees on weights; its llama3 scaling agrees with rope_freqs.weight."""
    transformers.logging.disable_progress_bar()
    config = AutoConfig.from_pretrained(path.parent, gguf_file=path.name)
    config.head_dim = shape.head_dim  # the importer doesn't read it for qwen2
    theirs = AutoModelForCausalLM.from_pretrained(
        path.parent, gguf_file=path.name, dtype=torch.float32, config=config
    )
    for (name, a), (_, b) in zip(theirs.named_parameters(), model.named_parameters(), strict=True):
        assert torch.equal(a, b), name
    inv_freq = theirs.model.rotary_emb.inv_freq
    if shape.rope:
        theirs.config.rope_parameters = {
            "rope_type": "llama3", "rope_theta": shape.rope_base, **shape.rope
        }
        inv_freq, _ = ROPE_INIT_FUNCTIONS["llama3"](theirs.config, "cpu")
    assert torch.allclose(inv_freq, model.model.rotary_emb.inv_freq, rtol=1e-6, atol=0)


def check_spread(shape: Shape, model, ids: list[int]) -> torch.Tensor:
    """The logits and the attention carry information; returns the logits."""
    logits = logits_of(model, ids)
    plain = logits[:, 3:-3]
    assert 2 < plain.std(-1).mean() < 4, plain.std(-1).mean()
    model.set_attn_implementation("eager")
    maps = model(torch.tensor([ids]), use_cache=False, output_attentions=True).attentions
    model.set_attn_implementation("sdpa")
    last = torch.stack([a[0, :, -1] for a in maps])  # (layers, heads, keys)
    effective = torch.exp(-(last * last.clamp_min(1e-30).log()).sum(-1))
    assert 4 < effective.mean() < 0.7 * len(ids), effective.mean()
    print(f"{shape.name}: logit std {plain.std(-1).mean():.2f},"
          f" keys attended {effective.min():.1f} to {effective.max():.1f} of {len(ids)}")
    return logits


def check_llama_cpp(shape: Shape, path: Path, ids: list[int], logits: torch.Tensor) -> None:
    """llama.cpp reads the file the same way, and closely so once the weights are unpacked to f32.

    From quantised weights it computes with activations rounded to 8 bits, hence two tolerances.
    """
    from llama_cpp import Llama

    with tempfile.TemporaryDirectory() as folder:
        unpacked = Path(folder) / path.name
        write_gguf(shape, unpacked, unpack=True)
        for file, tolerance in ((path, 0.1), (unpacked, 0.005)):
            llama = Llama(str(file), n_ctx=512, logits_all=True, verbose=False, n_threads=1)
            llama.eval(ids)
            theirs = torch.tensor(np.array(llama.scores[: len(ids)])).double()
            error = (theirs - logits).pow(2).mean().sqrt() / logits.std()
            print(f"{path.name}: llama.cpp differs by {error:.5f} of the logits' spread")
            assert error < tolerance
    for text in TEXTS:
        theirs = llama.tokenize(text.encode(), add_bos=False, special=True)
        assert theirs == encode(load_tokenizer(path), text), text


def clear_prompt(shape: Shape, model) -> tuple[list[int], dict]:
    """The first random ids after whose prompt every greedy step has a clear winner."""
    for attempt in range(500):
        rng = np.random.default_rng([SEED, attempt, *shape.name.encode()])
        ids = rng.integers(3, tiny_vocab.VOCAB_SIZE - 3, PROMPT + CONTINUATION).tolist()
        result = greedy(model, ids[:PROMPT], GREEDY_TOKENS)
        if min(result["margins"]) > 0.08 and result["finishReason"] == "length":
            return ids, result
    raise AssertionError(f"{shape.name}: no prompt with clear margins")


def make(shape: Shape, llama_cpp: bool) -> None:
    path = DATA / f"{shape.name}.gguf"
    types = write_gguf(shape, path)
    model = load_model(path)
    check_model(shape, model, path)
    tokenizer = load_tokenizer(path)
    ids, result = clear_prompt(shape, model)
    logits = check_spread(shape, model, ids)
    if llama_cpp:
        check_llama_cpp(shape, path, ids, logits)
    scored = score(model, ids, PROMPT)
    model.double()
    exact = score(model, ids, PROMPT)["logprobs"]
    noise = max(abs(a - b) for a, b in zip(exact, scored["logprobs"]))
    name = f"random-{PROMPT}"
    write_json(
        f"{shape.name}.json",
        header("tiny", "test/golden/make_tiny.py", path),
        f32NoiseMax=noise,
        tensorTypes=types,
        score={"name": name, "context": PROMPT, "tokenIds": ids, **scored},
        greedy={"name": name, "promptTokenIds": ids[:PROMPT], **result},
        tokenizer=[{"text": t, "tokenIds": encode(tokenizer, t)} for t in TEXTS],
    )
    print(f"{path.name}: {path.stat().st_size:,} bytes;"
          f" {result['stepsBeforeCloseCall']} greedy steps before a close call")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--llama-cpp", action="store_true", help="compare with llama-cpp-python")
    args = parser.parse_args()
    setup()
    for shape in SHAPES:
        make(shape, args.llama_cpp)


if __name__ == "__main__":
    main()
