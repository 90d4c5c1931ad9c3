"""Goldens of SmolLM2-135M-Instruct: log-probabilities and greedy text (f32, one thread).

    .venv-golden/bin/python test/golden/make_golden.py              # writes data/smollm2-*.json
    .venv-golden/bin/python test/golden/make_golden.py --debug DIR  # dumps layers instead

The environment is described in README.md. Takes about two minutes.
"""

import argparse
import json
from pathlib import Path

import torch
import transformers
from transformers import AutoModelForCausalLM

from debug_dump import dump_layers
from golden_file import DATA, SMOLLM2, check_smollm2, header, read_text, write_json
from reference import greedy, load_model, logits_of, logprobs_of, score, setup
from reference_text import chat_ids, check_against_llama_cpp, encode, load_tokenizer, prefix_of

CONTINUATION = 128
GREEDY_TOKENS = 48
DEBUG_TOKENS = 32
SCORE_CASES = [("dialogue.txt", 32), ("code.txt", 200), ("prose.txt", 700)]
SYSTEM = {"role": "system", "content": "You are a careful editor. Answer in full sentences."}
CHATS = {
    "chat-question": [{"role": "user", "content": "Explain how a bicycle stays upright."}],
    "chat-code": [{"role": "user", "content": "Write a Python function that reverses a string."}],
    "chat-system": [SYSTEM, {"role": "user", "content": "Give me three tips for a clear letter."}],
    "chat-turns": [
        {"role": "user", "content": "Name a fruit."},
        {"role": "assistant", "content": "An apple."},
        {"role": "user", "content": "Write two sentences about how it grows."},
    ],
    "chat-short-answer": [{"role": "user", "content": "What is the capital of France?"}],
}
RAW = {
    "raw-short": "The mitochondria is",
    "raw-list": "# Recipe for bread\n\nIngredients:\n\n-",
    "raw-code": "def is_prime(n: int) -> bool:\n    ",
}


def score_cases(model, tokenizer) -> list[dict]:
    cases = []
    for name, context in SCORE_CASES:
        text, ids = prefix_of(tokenizer, read_text(name), context + CONTINUATION)
        case = {"name": f"{Path(name).stem}-{context}", "source": name, "text": text}
        cases.append({**case, "context": context, "tokenIds": ids, **score(model, ids, context)})
    return cases


def greedy_cases(model, tokenizer) -> list[dict]:
    """Short raw prompts, the contexts of the score cases (same names), and chats."""
    raw = dict(RAW)
    for name, context in SCORE_CASES:
        raw[f"{Path(name).stem}-{context}"] = prefix_of(tokenizer, read_text(name), context)[0]
    document = read_text("prose.txt").partition("It was the remarks")[0]
    ask = f"Here is the beginning of a story.\n\n{document}\nWho is Edith Marlowe?"
    chats = {**CHATS, "chat-document": [{"role": "user", "content": ask}]}
    prompts = [
        {"name": n, "prompt": t, "promptTokenIds": encode(tokenizer, t)} for n, t in raw.items()
    ]
    prompts += [
        {"name": n, "messages": m, "promptTokenIds": chat_ids(tokenizer, m)}
        for n, m in chats.items()
    ]
    cases = []
    for case in prompts:
        result = greedy(model, case["promptTokenIds"], GREEDY_TOKENS)
        text = tokenizer.decode(result["tokenIds"], skip_special_tokens=True)
        cases.append({**case, **result, "text": text})
        print(f"{case['name']}: {len(case['promptTokenIds'])} -> {len(result['tokenIds'])} tokens,"
              f" {result['stepsBeforeCloseCall']} before a close call: {text!r}")
    return cases


def check_importer(model) -> None:
    """transformers' own GGUF importer gives the same weights and rotary base."""
    transformers.logging.disable_progress_bar()
    theirs = AutoModelForCausalLM.from_pretrained(
        SMOLLM2.parent, gguf_file=SMOLLM2.name, dtype=torch.float32
    )
    ours = dict(model.named_parameters())
    for name, param in theirs.named_parameters():
        assert torch.equal(param, ours.pop(name)), name
    assert not ours
    assert torch.equal(theirs.model.rotary_emb.inv_freq, model.model.rotary_emb.inv_freq)


def f64_noise(model, case: dict) -> float:
    """Largest change of a case's log-probabilities when everything is computed in f64."""
    ids, context = case["tokenIds"], case["context"]
    model.double()
    exact = logprobs_of(logits_of(model, ids)[context - 1 : -1], ids[context:])
    model.float()
    return max(abs(a - b) for a, b in zip(exact, case["logprobs"]))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--debug", type=Path, metavar="DIR", help="dump every layer of one prompt")
    parser.add_argument("--model", type=Path, help="with --debug: a tiny model instead of SmolLM2")
    args = parser.parse_args()
    setup()
    if args.debug and args.model:
        golden = json.loads((DATA / f"{args.model.stem}.json").read_text(encoding="utf-8"))
        dump_layers(load_model(args.model), golden["score"]["tokenIds"][:DEBUG_TOKENS], args.debug)
        return
    check_smollm2()
    tokenizer = load_tokenizer(SMOLLM2)
    model = load_model(SMOLLM2)
    if args.debug:
        ids = prefix_of(tokenizer, read_text("dialogue.txt"), DEBUG_TOKENS)[1]
        dump_layers(model, ids, args.debug)
        return
    check_importer(model)
    names = ["prose.txt", "code.txt", "dialogue.txt", "table.txt"]
    check_against_llama_cpp([read_text(n) for n in names] + list(RAW.values()))
    cases = score_cases(model, tokenizer)
    noise = max(f64_noise(model, case) for case in cases)
    script = "test/golden/make_golden.py"
    head = header("score", script, SMOLLM2)
    write_json("smollm2-score.json", head, f32NoiseMax=noise, cases=cases)
    head = header("greedy", script, SMOLLM2)
    write_json("smollm2-greedy.json", head, cases=greedy_cases(model, tokenizer))


if __name__ == "__main__":
    main()
