"""Tiny random models as folders of safetensors files, exported by transformers, each with a golden (f32, one thread).

    .venv-golden/bin/python test/golden/make_hf.py                  # writes test/golden/data/hf-*
    .venv-golden/bin/python test/golden/make_hf.py --smollm2 DIR    # exports the default model to DIR (538 MB)

The environment is described in README.md. The reference model is loaded back from the folder, so that what the files
say is what the golden was computed from. `heldLogprobs` are those of the matrices rounded to f16, as the engine holds them.
"""

import argparse
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, processors
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig, PreTrainedTokenizerFast

import tiny_vocab
from golden_file import DATA, SEED, SMOLLM2, check_smollm2, version, write_json
from reference import CLASSES, hf_name, load_model, score, setup
from reference_text import encode, load_tokenizer, pre_tokenizer
from tiny_file import random_weights
from tiny_shapes import LLAMA3_ROPE, Shape

CONTEXT, SCORED = 40, 32
TEXTS = [
    "Hello, world! It's 12:30, isn't it?",
    "x = [i * 3 for i in range(100)]\n\n    return x\t# ok  ",
    "na\u00efve cafe\u0301 \u4f60\u597d \U0001f44b\U0001f3fd 3\u00bd\u00b2",
    "<|im_start|>user\nhi<|im_end|>\n",
]
MESSAGES = [{"role": "user", "content": "What is 12 + 30?"}]


@dataclass
class Export:
    shape: Shape
    dtype: torch.dtype
    shard_size: str
    padded_vocab: int = tiny_vocab.VOCAB_SIZE


def shape(name, arch, heads, kv_heads, pre, first, tied, rope) -> Shape:
    return Shape(name, arch, hidden=64, layers=2, heads=heads, kv_heads=kv_heads, head_dim=32,
                 intermediate=96, context=1024, rope_base=10000.0, pre=pre, specials_first=first,
                 tied=tied, rope=rope)


EXPORTS = [
    Export(shape("hf-llama", "llama", 4, 2, "smollm", True, True, LLAMA3_ROPE), torch.float16, "120KB"),
    Export(shape("hf-llama-f32", "llama", 2, 1, "smollm", True, False, None), torch.float32, "1GB"),
    Export(shape("hf-qwen2", "qwen2", 2, 1, "qwen2", False, False, None), torch.bfloat16, "1GB", 520),
]


def model_of(export: Export, special_ids: list[int]):
    s = export.shape
    rope = {"rope_type": "llama3", **s.rope} if s.rope else {"rope_type": "default"}
    config = CLASSES[s.arch][0](
        vocab_size=export.padded_vocab, hidden_size=s.hidden, intermediate_size=s.intermediate,
        num_hidden_layers=s.layers, num_attention_heads=s.heads, num_key_value_heads=s.kv_heads,
        head_dim=s.head_dim, max_position_embeddings=s.context, rms_norm_eps=1e-5,
        rope_parameters={**rope, "rope_theta": s.rope_base}, tie_word_embeddings=s.tied,
        bos_token_id=special_ids[1], eos_token_id=special_ids[2],
    )
    model = CLASSES[s.arch][1](config)
    parameters = dict(model.named_parameters())
    rng = np.random.default_rng([SEED, *s.name.encode()])
    for name, weight in random_weights(s, rng, special_ids).items():
        target = parameters.pop(hf_name(name)).data
        target.zero_()[: len(weight)].copy_(torch.from_numpy(weight))
    assert not parameters, sorted(parameters)
    return model.to(export.dtype).eval()


def tokenizer_of(s: Shape) -> tuple[PreTrainedTokenizerFast, list[int]]:
    tokens, merges, _ = tiny_vocab.train(s.pre, s.specials_first)
    ids = {token: id for id, token in enumerate(tokens)}
    core = Tokenizer(models.BPE(ids, [tuple(m.split(" ")) for m in merges]))
    core.pre_tokenizer = pre_tokenizer(s.pre)
    core.decoder = decoders.ByteLevel()
    if s.arch == "qwen2":
        from tokenizers import normalizers
        core.normalizer = normalizers.NFC()
    core.post_processor = processors.ByteLevel(trim_offsets=False)
    core.add_special_tokens(tiny_vocab.SPECIALS)
    special_ids = [ids[t] for t in tiny_vocab.SPECIALS]
    fast = PreTrainedTokenizerFast(
        tokenizer_object=core, chat_template=tiny_vocab.CHAT_TEMPLATE,
        bos_token=tiny_vocab.SPECIALS[1], eos_token=tiny_vocab.SPECIALS[2],
    )
    return fast, special_ids


def make(export: Export) -> None:
    s = export.shape
    folder = DATA / s.name
    shutil.rmtree(folder, ignore_errors=True)
    tokenizer, special_ids = tokenizer_of(s)
    model = model_of(export, special_ids)
    model.generation_config = GenerationConfig(eos_token_id=[special_ids[2], special_ids[0]])
    model.save_pretrained(folder, max_shard_size=export.shard_size)
    tokenizer.save_pretrained(folder)
    loaded = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    ids = np.random.default_rng([SEED, 1]).integers(3, tiny_vocab.VOCAB_SIZE - 3, CONTEXT + SCORED).tolist()
    scored = score(loaded, ids, CONTEXT)
    for parameter in loaded.parameters():
        if parameter.dim() == 2:
            parameter.data = parameter.data.half().float()
    held = score(loaded, ids, CONTEXT)["logprobs"]
    write_json(
        f"{s.name}.json",
        {"script": "test/golden/make_hf.py", "seed": SEED,
         "versions": {p: version(p) for p in ("torch", "transformers", "tokenizers", "safetensors")}},
        score={"name": s.name, "context": CONTEXT, "tokenIds": ids, **scored},
        heldLogprobs=held,
        tokenizer=[{"text": t, "tokenIds": encode(tokenizer, t)} for t in TEXTS],
        chat={"messages": MESSAGES, "tokenIds": encode(tokenizer, tokenizer.apply_chat_template(
            MESSAGES, tokenize=False, add_generation_prompt=True))},
        endTokenIds=sorted([special_ids[2], special_ids[0]]),
        stored={name: bits(folder, name) for name in ("model.norm.weight",)},
    )
    for path in folder.iterdir():
        path.chmod(0o644)
    print(s.name, sum(f.stat().st_size for f in folder.iterdir()), "bytes")


def bits(folder: Path, name: str) -> list[float]:
    from safetensors import safe_open

    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, "pt") as f:
            if name in f.keys():
                return f.get_tensor(name).float().tolist()
    raise AssertionError(name)


def export_smollm2(folder: Path) -> None:
    """The default model, dequantised to f32, as transformers writes it; its tokenizer repaired (reference_text.py)."""
    check_smollm2()
    model = load_model(SMOLLM2)
    model.save_pretrained(folder, max_shard_size="200MB")
    tokenizer = load_tokenizer(SMOLLM2)
    tokenizer.save_pretrained(folder)
    print(json.dumps(json.loads((folder / "tokenizer.json").read_text())["pre_tokenizer"]))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--smollm2", type=Path, help="export the default model to this folder instead")
    args = parser.parse_args()
    setup()
    if args.smollm2:
        return export_smollm2(args.smollm2)
    for export in EXPORTS:
        make(export)


if __name__ == "__main__":
    main()
