"""A byte-level BPE vocabulary of 512 tokens, trained on the texts of this folder."""

import json

import gguf
import tokenizers
from tokenizers import models, pre_tokenizers, trainers

from golden_file import read_text
from reference_text import pre_tokenizer

VOCAB_SIZE = 512
SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def train(pre: str, specials_first: bool) -> tuple[list[str], list[str], list[int]]:
    """Tokens, merges and GGUF token types for one kind of pre-tokenizer."""
    core = tokenizers.Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizer(pre)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE - len(SPECIALS), initial_alphabet=alphabet, show_progress=False
    )
    names = ["prose.txt", "code.txt", "dialogue.txt", "table.txt"]
    core.train_from_iterator([read_text(name) for name in names], trainer)
    ids = core.get_vocab()
    plain = sorted(ids, key=ids.__getitem__)
    assert len(plain) == VOCAB_SIZE - len(SPECIALS)
    tokens = SPECIALS + plain if specials_first else plain + SPECIALS
    control = {t: gguf.TokenType.CONTROL for t in SPECIALS}
    merges = [" ".join(pair) for pair in json.loads(core.to_str())["model"]["merges"]]
    return tokens, merges, [int(control.get(t, gguf.TokenType.NORMAL)) for t in tokens]


def add_to(writer: gguf.GGUFWriter, pre: str, specials_first: bool) -> list[int]:
    """Writes the tokenizer metadata; returns the ids of the special tokens."""
    tokens, merges, kinds = train(pre, specials_first)
    special_ids = [tokens.index(t) for t in SPECIALS]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges(merges)
    writer.add_bos_token_id(special_ids[1])
    writer.add_eos_token_id(special_ids[2])
    writer.add_pad_token_id(special_ids[0])
    writer.add_add_bos_token(False)
    writer.add_chat_template(CHAT_TEMPLATE)
    return special_ids
