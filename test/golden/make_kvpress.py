"""Goldens of cache compression: kvpress 0.5.5 on SmolLM2 and on a tiny model (f32, one thread).

    .venv-golden/bin/python test/golden/make_kvpress.py    # writes test/golden/data/kvpress-*

The environment is described in README.md; the run takes about five minutes. Every kvpress result is
checked against kv_reference.py: scores, kept rows, and the continuation computed in another way.

Traps that this script minds: budgets are rounded half to even and include the window; positions after
compression must be given; after compression only one token at a time may be fed; a press whose
window is too large falls back to a uniform budget without a word (hence `differ`).
"""

import base64
from pathlib import Path

import numpy as np
import torch
from transformers import DynamicCache

import kv_reference as ours
from golden_file import DATA, SMOLLM2, check_smollm2, header, read_text, write_json
from kvpress_cases import SPECS_512, SPECS_1024, SPECS_TINY, Spec, press_of
from reference import load_model, logprobs_of, setup
from reference_text import load_tokenizer, prefix_of

SCRIPT = "test/golden/make_kvpress.py"
NEAR = 0.011  # scores this close (relative) to an edge of the selection are listed
AGREE = 1e-3  # largest difference of any log-probability between the two ways of continuing


def run_press(model, ids: list[int], n: int, spec: Spec, prefill: ours.Prefill):
    """Scores per layer (kv_heads, n), kept masks per layer, logits of the continuation."""
    press = press_of(spec)
    scorer = press.press if spec.policy == "ada-kv" else press
    scores, original = {}, scorer.score

    def recording(module, *args):
        result = original(module, *args)
        scores[module.layer_idx] = result[0].clone()
        return result

    scorer.score = recording
    cache = DynamicCache()
    with press(model):
        model.model(input_ids=torch.tensor([ids[:n]]), past_key_values=cache)
    kept = []
    for layer, full in enumerate(prefill.keys):
        mask = torch.zeros(len(full), n, dtype=torch.bool)
        if spec.policy == "ada-kv":
            _, heads, positions = model.model.layers[layer].self_attn.masked_key_indices
            mask[:] = True
            mask[heads, positions] = False
        else:
            count = cache.layers[layer].keys.shape[2]
            order = scores[layer].topk(count, dim=-1).indices
            mask.scatter_(1, order, True)
            rows = full.gather(1, order[..., None].expand(-1, -1, full.shape[-1]))
            assert torch.equal(cache.layers[layer].keys[0], rows), "not the rows that were chosen"
        kept.append(mask)
    logits = ours.continue_pruned(model, prefill, cache, ids[n:])
    for layer in model.model.layers:
        layer.self_attn.masked_key_indices = None  # else it would mask the next run's keys as well
    return [scores[i] for i in range(len(kept))], kept, logits


def run_authors(model, ids: list[int], n: int, spec: Spec, prefill: ours.Prefill):
    """PyramidKV as its authors run it, per KV head: mean over the group, max pooling, exact top-k."""
    o = spec.options
    window, layers = o["windowSize"], len(prefill.keys)
    past = o["maxCapacityPrompt"] - window
    least = past // o["beta"]
    most = 2 * past - least
    assert n >= 2 * past and most < n - window
    step = (most - least) // (layers - 1)
    cache, scores, kept = DynamicCache(), [], []
    for layer in range(layers):
        score = ours.window_scores(prefill, layer, window, o["pool"], o["poolSize"])
        mask = torch.zeros(len(score), n, dtype=torch.bool)
        mask[:, n - window :] = True
        for head, row in enumerate(score):
            mask[head, ours.select(row, most - layer * step)] = True
        for_all = [x[mask].view(len(score), -1, x.shape[-1])[None]
                   for x in (prefill.keys[layer], prefill.values[layer])]
        cache.update(*for_all, layer)
        scores.append(torch.nn.functional.pad(score, (0, window), value=float("inf")))
        kept.append(mask)
    return scores, kept, ours.continue_pruned(model, prefill, cache, ids[n:])


def check_scores(spec: Spec, prefill: ours.Prefill, scores: list[torch.Tensor]) -> None:
    """Scores by our own formula, for the policies that have a window."""
    o = spec.options
    for layer, theirs in enumerate(scores):
        if spec.policy in ("pyramidkv", "snapkv", "ada-kv"):
            own = ours.window_scores(prefill, layer, o["windowSize"], "avg", o["poolSize"])
        elif spec.policy == "tova":
            own = ours.window_attention(prefill, layer, 1)[:, 0, :-1].mean(0).expand(len(theirs), -1)
        elif spec.policy == "knorm":
            own = -prefill.keys[layer].norm(dim=-1)
        else:
            return
        assert torch.allclose(theirs[:, : own.shape[1]], own, rtol=1e-4, atol=1e-9), layer


def edges(row: torch.Tensor, mask: torch.Tensor, scored: int) -> dict:
    """Lowest kept and highest evicted score of a head, and all scores near either."""
    row, mask = row[:scored].double(), mask[:scored]
    low = row[mask].min() if mask.any() else row.max()
    high = row[~mask].max() if not mask.all() else row.min()
    near = ((row - low).abs() <= NEAR * low.abs()) | ((row - high).abs() <= NEAR * high.abs())
    positions = near.nonzero()[:, 0]
    return {"lowestKept": low.item(), "highestEvicted": high.item(),
            "positions": positions.tolist(), "scores": row[positions].tolist()}


def check_ties(spec: Spec, found: list[list[dict]]) -> None:
    """No score is both kept and evicted, where the method allows to ask for that.

    In layer 0 equal tokens have keys of equal norm; max pooling repeats a score over its neighbours;
    per-head budgets follow one edge per layer, and the safeguard another.
    """
    layers = {"authors": [], "ada-kv": [], "knorm": found[1:]}.get(spec.policy, found)
    for heads in layers:
        assert all(e["lowestKept"] > e["highestEvicted"] for e in heads), "ties at the edge"


def bitmask(mask: torch.Tensor) -> str:
    packed = np.packbits(mask.numpy(), bitorder="little")
    return base64.b64encode(packed.tobytes()).decode()


def make_case(model, ids: list[int], n: int, spec: Spec, prefill: ours.Prefill, stem: str) -> dict:
    run = run_authors if spec.policy == "authors" else run_press
    scores, kept, logits = run(model, ids, n, spec, prefill)
    check_scores(spec, prefill, scores)
    budgets = [mask.sum(-1).tolist() for mask in kept]
    if spec.policy != "ada-kv":
        assert all(len(set(heads)) == 1 for heads in budgets)
    if spec.differ:
        assert len({heads[0] for heads in budgets}) > len(budgets) // 2, "no pyramid"
    logprobs = logprobs_of(logits, ids[n:])
    masked = logprobs_of(ours.continue_masked(model, ids, n, kept), ids[n:])
    difference = max(abs(a - b) for a, b in zip(logprobs, masked))
    assert difference < AGREE, difference
    always_kept = spec.options.get("windowSize", 1 if spec.policy == "tova" else 0)
    case = {
        "name": spec.name,
        "policy": spec.policy,
        "options": spec.options,
        "budgets": budgets,
        "kept": [[bitmask(head) for head in mask] for mask in kept],
        "numScored": n - always_kept,
        "logprobs": logprobs,
    }
    if spec.policy != "streaming-llm":  # its scores are only 0 and 1
        scored = case["numScored"]
        case["edges"] = [[edges(r, m, scored) for r, m in zip(s, k)] for s, k in zip(scores, kept)]
        check_ties(spec, case["edges"])
        layers = spec.score_layers if spec.score_layers is not None else list(range(len(scores)))
        if layers:
            file = f"{stem}-{spec.name}.bin"
            stacked = torch.stack([scores[i][:, :scored] for i in layers])
            stacked.numpy().astype("<f4").tofile(DATA / file)
            case["scores"] = {"file": file, "layers": layers}
    if "windowSize" in spec.options:
        case["massKept"] = ours.mass_kept(prefill, kept, spec.options["windowSize"])
    mean = sum(map(sum, budgets)) / sum(map(len, budgets))
    print(f"{stem}/{spec.name}: mean {mean:.2f} rows, layers {[b[0] for b in budgets]},"
          f" two ways differ by {difference:.1e}", flush=True)
    return case


def make_file(stem: str, path: Path, model, ids: list[int], n: int, specs: list[Spec], **more):
    """Writes one golden: all cases of one prompt, and the continuation with the full cache."""
    prefill = ours.Prefill(model, ids[:n])
    full = ours.continue_pruned(model, prefill, full_cache(prefill), ids[n:])
    cases = [make_case(model, ids, n, spec, prefill, stem) for spec in specs]
    head = header("kvpress", SCRIPT, path)
    write_json(f"{stem}.json", head, context=n, tokenIds=ids, **more,
               fullLogprobs=logprobs_of(full, ids[n:]), cases=cases)


def full_cache(prefill: ours.Prefill) -> DynamicCache:
    cache = DynamicCache()
    for layer, (keys, values) in enumerate(zip(prefill.keys, prefill.values)):
        cache.update(keys[None], values[None], layer)
    return cache


def main() -> None:
    setup()
    check_smollm2()
    tiny = DATA / "tiny-llama.gguf"
    rng = np.random.default_rng(len("tiny-llama"))
    ids = rng.integers(3, 509, 200 + 32).tolist()
    make_file("kvpress-tiny", tiny, load_model(tiny), ids, 200, SPECS_TINY)
    model, tokenizer = load_model(SMOLLM2), load_tokenizer(SMOLLM2)
    for stem, source, n, specs in [
        ("kvpress-512", "dialogue.txt", 512, SPECS_512),
        ("kvpress-1024", "prose.txt", 1024, SPECS_1024),
    ]:
        text, ids = prefix_of(tokenizer, read_text(source), n + 64)
        make_file(stem, SMOLLM2, model, ids, n, specs, source=source, text=text)


if __name__ == "__main__":
    main()
