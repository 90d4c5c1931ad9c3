"""kvpress's quality on the documents of `npm run quality`: three presses at two budgets.

    .venv-golden/bin/python test/quality/kvpress_quality.py    # writes test/quality/kvpress.json

The environment is that of the goldens (test/golden/README.md). Documents, lengths and metrics are those
of documents.ts and plan.ts, which this script reads; the model is transformers in f32 on the weights of
the same GGUF file. The run takes about ten minutes on two cores; documents that kvpress.json has are not
run again, so delete it to make it anew.

Traps: positions after a compression must be given, and only one token at a time may be fed.
"""

import json
import re
import sys
from pathlib import Path

import kvpress
import torch
from transformers import DynamicCache

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "golden"))

from golden_file import SMOLLM2, check_smollm2, header, rounded  # noqa: E402
from reference import load_model, setup  # noqa: E402
from reference_text import encode, load_tokenizer  # noqa: E402

OUTPUT = HERE / "kvpress.json"
BUDGETS = (25, 12)
DOCUMENT = re.compile(r'name: "([^"]+)",\s*kind: "([^"]+)",\s*file: "([^"]+)",(?:\s*skip: (\d+),)?')


def presses(budget: int) -> dict:
    ratio = {"compression_ratio": 1 - budget / 100}
    return {
        "pyramidkv": kvpress.PyramidKVPress(**ratio, window_size=8, kernel_size=5, beta=20),
        "snapkv": kvpress.SnapKVPress(**ratio, window_size=8, kernel_size=5),
        "knorm": kvpress.KnormPress(**ratio),
    }


def read_plan() -> tuple[int, int, list[tuple[str, str, int]]]:
    """Tokens of a prompt, tokens that are compared, and (name, file, tokens to skip) of each document."""
    plan = (HERE / "plan.ts").read_text()
    full = plan[plan.index("FULL_PLAN") :]
    prompt = int(re.search(r"promptTokens: (\d+)", full)[1])
    scored = int(re.search(r"scoredTokens: (\d+)", full)[1])
    found = DOCUMENT.findall((HERE / "documents.ts").read_text())
    return prompt, scored, [(name, file, int(skip or 0)) for name, _, file, skip in found]


def message_start(tokenizer) -> list[int]:
    text = tokenizer.apply_chat_template(
        [{"role": "user", "content": "~"}], tokenize=False, add_generation_prompt=True
    )
    return encode(tokenizer, text[: text.index("~")])


def next_logits(model, prompt: list[int], ids: list[int], press=None) -> torch.Tensor:
    """Logits after each of `ids`, fed one by one behind a prompt that `press` compressed."""
    cache = DynamicCache()
    if press is None:
        model.model(torch.tensor([prompt]), past_key_values=cache)
    else:
        with press(model):
            model.model(torch.tensor([prompt]), past_key_values=cache)
    rows = []
    for i, token in enumerate(ids):
        position = torch.tensor([[len(prompt) + i]])
        out = model(torch.tensor([[token]]), past_key_values=cache, position_ids=position)
        rows.append(out.logits[0])
    return torch.cat(rows).double().log_softmax(-1)


def main() -> None:
    setup()
    check_smollm2()
    model, tokenizer = load_model(SMOLLM2), load_tokenizer(SMOLLM2)
    prompt_tokens, scored, documents = read_plan()
    start = message_start(tokenizer)
    rows = json.loads(OUTPUT.read_text())["rows"] if OUTPUT.exists() else []
    for name, file, skip in documents:
        if any(row["document"] == name for row in rows):
            continue
        text = start + encode(tokenizer, (HERE / file).read_text(encoding="utf-8"))[skip:]
        prompt, ids = text[:prompt_tokens], text[prompt_tokens : prompt_tokens + scored + 1]
        targets = torch.tensor(ids[1:])[:, None]
        full = next_logits(model, prompt, ids[:-1])
        for budget in BUDGETS:
            for policy, press in presses(budget).items():
                own = next_logits(model, prompt, ids[:-1], press)
                rows.append({
                    "document": name,
                    "policy": policy,
                    "budget": budget,
                    "kl": (full.exp() * (full - own)).sum(-1).mean().item(),
                    "agreement": (full.argmax(-1) == own.argmax(-1)).double().mean().item(),
                    "deltaNll": (full - own).gather(1, targets).mean().item(),
                })
                print(rows[-1], flush=True)
        write(prompt_tokens, rows)


def write(prompt_tokens: int, rows: list[dict]) -> None:
    lines = ",\n".join(json.dumps(rounded(row)) for row in rows)
    head = json.dumps(header("quality", "test/quality/kvpress_quality.py", SMOLLM2))
    text = f'{{\n"header":{head},\n"promptTokens":{prompt_tokens},\n"rows":[\n{lines}\n]\n}}\n'
    OUTPUT.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
