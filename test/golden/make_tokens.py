"""Makes data/tokens*.json: what llama.cpp makes of many texts, and transformers of conversations.

    .venv-golden/bin/python test/golden/make_tokens.py          (environment: golden_file.py)

`tokens.json`: ids for the default model. `tokens-tiny.json`: a small vocabulary whose merges were
trained without any splits, so that they cross every border that a pre-tokenizer draws, and the ids
that llama.cpp gives with it under each name of `tokenizer.ggml.pre`: each wrong split shows.
"""

import ctypes
import json
import random
import tempfile
from importlib.metadata import version
from pathlib import Path

import gguf
import llama_cpp
from gguf import TokenType
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from golden_file import SEED, SMOLLM2, check_smollm2, header, write_json
from reference_text import load_tokenizer
from token_texts import CONVERSATIONS, SPELLED, TEMPLATES, make_texts

# Names of `tokenizer.ggml.pre`; the first of each group stands for it, the others must agree.
GROUPS = [
    ["default"],
    ["gpt-2"],
    ["smollm", "refact", "starcoder"],
    ["qwen2", "deepseek-r1-qwen"],
    ["llama-bpe", "llama3", "llama-v3", "falcon3"],
]
TINY_TOKENS = 1200
ADDED = [
    ("<|endoftext|>", TokenType.CONTROL),
    ("<|im_start|>", TokenType.CONTROL),
    ("<|im_end|>", TokenType.CONTROL),
    ("<tool>", TokenType.USER_DEFINED),
    ("[UNUSED0]", TokenType.UNUSED),
]


def open_vocabulary(path: Path) -> llama_cpp.Llama:
    return llama_cpp.Llama(model_path=str(path), vocab_only=True, verbose=False)


def encode(llama: llama_cpp.Llama, text: str, special: bool = False) -> list[int]:
    return llama.tokenize(text.encode("utf-8"), add_bos=False, special=special)


def token_facts(llama: llama_cpp.Llama) -> dict:
    """Ids that end an answer, control ids, and the bytes of some tokens (as hexadecimal digits)."""
    vocab = llama_cpp.llama_model_get_vocab(llama._model.model)
    ids = range(llama.n_vocab())
    sample = sorted(random.Random(SEED).sample(ids, min(len(ids), 400)))
    return {
        "count": len(ids),
        "ends": [i for i in ids if llama_cpp.llama_vocab_is_eog(vocab, i)],
        "controls": [i for i in ids if llama_cpp.llama_vocab_is_control(vocab, i)],
        "bytes": [[i, piece(vocab, i).hex()] for i in sample],
    }


def piece(vocab, token: int) -> bytes:
    """Bytes of a token; `Llama.detokenize` loses those of tokens over 32 bytes."""
    buffer = ctypes.create_string_buffer(1024)
    length = llama_cpp.llama_token_to_piece(vocab, token, buffer, len(buffer), 0, False)
    return buffer.raw[:length]


def conversation_cases(tokenizer, llama: llama_cpp.Llama) -> list[dict]:
    cases = []
    for messages in CONVERSATIONS:
        for prompt in (True, False):
            text = tokenizer.apply_chat_template(
                messages, tokenize=False, add_generation_prompt=prompt
            )
            ids = encode(llama, text, special=True)
            cases.append({"messages": messages, "prompt": prompt, "text": text, "ids": ids})
    return cases


def template_cases(tokenizer) -> list[dict]:
    """Features of templates beyond the default model's, as transformers renders them."""
    cases = []
    for template in TEMPLATES:
        for messages in CONVERSATIONS[:4]:
            text = tokenizer.apply_chat_template(
                messages, chat_template=template, tokenize=False, add_generation_prompt=True
            )
            cases.append({"template": template, "messages": messages, "text": text})
    return cases


def train_tiny(texts: list[str]) -> tuple[list[str], list[str]]:
    """Tokens and merges of a byte-level BPE that was trained on whole texts."""
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=TINY_TOKENS,
        min_frequency=2,
        max_token_length=8,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator(texts, trainer)
    vocabulary = core.get_vocab()
    tokens = sorted(vocabulary, key=vocabulary.get)
    return tokens, merges_of(core)


def merges_of(core: Tokenizer) -> list[str]:
    merges = json.loads(core.to_str())["model"]["merges"]
    return [" ".join(pair) for pair in merges]


def write_tiny(path: Path, pre: str, tokens: list[str], merges: list[str]) -> None:
    """A GGUF file with nothing but a vocabulary, and the numbers that llama.cpp insists on."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(128)
    writer.add_embedding_length(64)
    writer.add_block_count(1)
    writer.add_feed_forward_length(64)
    writer.add_head_count(1)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens + [text for text, _ in ADDED])
    writer.add_token_types([TokenType.NORMAL] * len(tokens) + [kind for _, kind in ADDED])
    writer.add_token_merges(merges)
    writer.add_bos_token_id(len(tokens))
    writer.add_eos_token_id(len(tokens) + 2)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def tiny_ids(tokens: list[str], merges: list[str], texts: list[str]) -> tuple[list[dict], dict]:
    """Ids by group of pre-tokenizer names, and facts about the tokens."""
    groups = []
    with tempfile.TemporaryDirectory() as folder:
        for names in GROUPS:
            by_name = []
            for name in names:
                path = Path(folder) / f"{name}.gguf"
                write_tiny(path, name, tokens, merges)
                llama = open_vocabulary(path)
                by_name.append([encode(llama, text) for text in texts])
            assert all(ids == by_name[0] for ids in by_name), names
            groups.append({"names": names, "ids": by_name[0]})
        facts = token_facts(llama)
    return groups, facts


def main() -> None:
    check_smollm2()
    texts = make_texts(random.Random(SEED))
    head = header("tokens", Path(__file__).name, SMOLLM2)
    head["versions"]["llama-cpp-python"] = version("llama-cpp-python")
    llama = open_vocabulary(SMOLLM2)
    tokenizer = load_tokenizer(SMOLLM2)
    write_json(
        "tokens.json",
        head,
        cases=[{"text": text, "ids": encode(llama, text)} for text in texts],
        spelled=[{"text": text, "ids": encode(llama, text, special=True)} for text in SPELLED],
        tokens=token_facts(llama),
        conversations=conversation_cases(tokenizer, llama),
        templates=template_cases(tokenizer),
    )
    tokens, merges = train_tiny(texts)
    short = [text for text in texts if len(text) <= 60]
    groups, facts = tiny_ids(tokens, merges, short)
    write_json(
        "tokens-tiny.json",
        head,
        vocabulary=[{"text": token, "kind": int(TokenType.NORMAL)} for token in tokens]
        + [{"text": text, "kind": int(kind)} for text, kind in ADDED],
        merges=merges,
        texts=short,
        groups=groups,
        tokens=facts,
    )


if __name__ == "__main__":
    main()
