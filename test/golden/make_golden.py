"""Goldens of SmolLM2-135M-Instruct: log-probabilities and greedy text (f32, one thread).

    .venv-golden/bin/python test/golden/make_golden.py              # writes test/golden/data/smollm2-*.json
    .venv-golden/bin/python test/golden/make_golden.py --debug DIR  # dumps every layer of one prompt instead

The environment is described in golden_file.py. Takes about two minutes.
"""

import argparse
import json
from pathlib import Path

import torch
import transformers
from transformers import AutoModelForCausalLM

from golden_file import SMOLLM2, check_smollm2, header, read_text, write_json
from reference import greedy, load_model, logits_of, logprobs_of, score, setup
from reference_text import (
    chat_ids,
    check_against_llama_cpp,
    encode,
    load_tokenizer,
    prefix_of,
)

CONTINUATION = 128
GREEDY_TOKENS = 48
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


def dump_layers(model, ids: list[int], out: Path) -> None:
    """Raw little-endian f32 files of every stage, with index.json naming their shapes."""
    out.mkdir(parents=True, exist_ok=True)
    index = {"tokenIds": ids, "files": {}}

    def save(name: str, tensor: torch.Tensor) -> None:
        array = tensor.detach().float().contiguous().numpy()
        array.tofile(out / f"{name}.bin")
        index["files"][f"{name}.bin"] = list(array.shape)

    def attention_hook(layer: int):
        def hook(module, args, kwargs, output):
            hidden = kwargs["hidden_states"]
            cos, sin = kwargs["position_embeddings"]
            shape = (*hidden.shape[:2], -1, module.head_dim)
            save(f"layer{layer:02}.attn_in", hidden[0])
            for name, proj in (("q", module.q_proj), ("k", module.k_proj), ("v", module.v_proj)):
                x = proj(hidden).view(shape)
                if name != "v":
                    first, second = x.chunk(2, dim=-1)
                    turned = torch.cat((-second, first), dim=-1)
                    x = x * cos[:, :, None] + turned * sin[:, :, None]
                save(f"layer{layer:02}.{name}", x[0])
            save(f"layer{layer:02}.attn_out", output[0][0])

        return hook

    hooks = []
    for i, layer in enumerate(model.model.layers):
        hooks.append(layer.self_attn.register_forward_hook(attention_hook(i), with_kwargs=True))
        for name, module in (("heads_out", layer.self_attn.o_proj), ("mlp_in", layer.mlp)):
            hooks.append(module.register_forward_hook(
                lambda m, args, o, i=i, name=name: save(f"layer{i:02}.{name}", args[0][0])))
        hooks.append(layer.mlp.register_forward_hook(
            lambda m, args, o, i=i: save(f"layer{i:02}.mlp_out", o[0])))
    out_all = model(torch.tensor([ids]), use_cache=False, output_hidden_states=True)
    for hook in hooks:
        hook.remove()
    for i, hidden in enumerate(out_all.hidden_states):
        last = i == len(model.model.layers)  # transformers norms the last one
        save("final_norm" if last else f"layer{i:02}.hidden_in", hidden[0])
    save("logits", out_all.logits[0])
    (out / "index.json").write_text(json.dumps(index, indent=1))
    print(f"{len(index['files'])} files in {out}")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--debug", type=Path, metavar="DIR", help="dump every layer of one prompt")
    args = parser.parse_args()
    setup()
    check_smollm2()
    tokenizer = load_tokenizer(SMOLLM2)
    model = load_model(SMOLLM2)
    if args.debug:
        dump_layers(model, prefix_of(tokenizer, read_text("dialogue.txt"), 32)[1], args.debug)
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
