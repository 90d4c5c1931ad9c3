"""The tokenizer that a GGUF file describes, for the golden scripts.

transformers builds one from the same metadata, but with a plain byte-level pre-tokenizer, which is
wrong for `tokenizer.ggml.pre = smollm`: it doesn't split off digits, and so takes the white space
before a number differently from the original tokenizer and from llama.cpp.
"""

from pathlib import Path

import gguf
import tokenizers
from tokenizers import Regex, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from golden_file import SMOLLM2

# The split of Qwen2's own tokenizer.
QWEN2_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def pre_tokenizer(name: str) -> pre_tokenizers.PreTokenizer:
    """The splitting that `tokenizer.ggml.pre` names, then bytes to printable characters."""
    if name == "smollm":
        split = pre_tokenizers.Digits(individual_digits=True)
    elif name == "qwen2":
        split = pre_tokenizers.Split(Regex(QWEN2_PATTERN), behavior="isolated")
    else:
        raise ValueError(f"no pre-tokenizer for tokenizer.ggml.pre = {name}")
    bytes_ = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=name == "smollm")
    return pre_tokenizers.Sequence([split, bytes_])


def load_tokenizer(path: Path) -> PreTrainedTokenizerFast:
    fields = gguf.GGUFReader(path).fields
    meta = {k: f.contents() for k, f in fields.items() if k.startswith("tokenizer.")}
    tokens = meta["tokenizer.ggml.tokens"]
    merges = [tuple(merge.split(" ")) for merge in meta["tokenizer.ggml.merges"]]
    core = tokenizers.Tokenizer(models.BPE({t: i for i, t in enumerate(tokens)}, merges))
    core.pre_tokenizer = pre_tokenizer(meta["tokenizer.ggml.pre"])
    core.decoder = decoders.ByteLevel()
    kinds = meta["tokenizer.ggml.token_type"]
    core.add_special_tokens(
        [t for t, kind in zip(tokens, kinds) if kind == gguf.TokenType.CONTROL]
    )
    assert core.get_vocab_size() == len(tokens), "a special token was not in the vocabulary"
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        chat_template=meta["tokenizer.chat_template"],
        bos_token=tokens[meta["tokenizer.ggml.bos_token_id"]],
        eos_token=tokens[meta["tokenizer.ggml.eos_token_id"]],
        clean_up_tokenization_spaces=False,
    )


def encode(tokenizer: PreTrainedTokenizerFast, text: str) -> list[int]:
    return tokenizer.encode(text, add_special_tokens=False)


def prefix_of(tokenizer: PreTrainedTokenizerFast, text: str, length: int) -> tuple[str, list[int]]:
    """The first `length` tokens of a text, as a text that tokenizes to exactly these."""
    ids = encode(tokenizer, text)[:length]
    assert len(ids) == length, f"the text has only {len(ids)} tokens"
    prefix = tokenizer.decode(ids)
    assert text.startswith(prefix) and encode(tokenizer, prefix) == ids
    return prefix, ids


def chat_ids(tokenizer: PreTrainedTokenizerFast, messages: list[dict]) -> list[int]:
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    return encode(tokenizer, text)


def check_against_llama_cpp(texts: list[str]) -> None:
    """llama.cpp's ids for the default model are the same (vocabulary only, no weights)."""
    from llama_cpp import Llama

    llama = Llama(str(SMOLLM2), vocab_only=True, verbose=False)
    tokenizer = load_tokenizer(SMOLLM2)
    for text in texts:
        theirs = llama.tokenize(text.encode(), add_bos=False, special=True)
        assert encode(tokenizer, text) == theirs, text[:60]
