"""Tiny random models as GGUF files, each with a golden of its own (f32, one thread).

    .venv-golden/bin/python test/golden/make_tiny.py               # writes test/golden/data/tiny-*
    .venv-golden/bin/python test/golden/make_tiny.py --llama-cpp   # and compares with llama.cpp

The environment is described in README.md. Weights come from a fixed seed; the reference model is
loaded back from the file, so that what the file says is what the golden was computed from.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch
import transformers
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

import tiny_vocab
from golden_file import DATA, SEED, header, write_json
from reference import greedy, load_model, logits_of, score, setup
from reference_text import encode, load_tokenizer
from repacked import repacked
from tiny_file import write_gguf
from tiny_shapes import SHAPES, Shape

PROMPT, CONTINUATION, GREEDY_TOKENS = 70, 64, 24
TEXTS = [
    "Hello, world! It's 12:30, isn't it?",
    "x = [i * 3 for i in range(100)]\n\n    return x\t# ok  ",
    "na\u00efve caf\u00e9 \u4f60\u597d \U0001f44b\U0001f3fd 3\u00bd\u00b2",
    "<|im_start|>user\nhi<|im_end|>\n",
]


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
    as_held = score(load_model(path, repacked), ids, PROMPT)["logprobs"]
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
        repackedLogprobs=as_held,
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
