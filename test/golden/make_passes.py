"""Goldens of a prompt that is read in several passes, each compressed before the next is read.

    .venv-golden/bin/python test/golden/make_passes.py    # writes test/golden/data/passes.json

kvpress can't do that (it compresses the first chunk only), so the reference stands here: transformers
runs a pass at a time, with an attention that sees the rows kept so far and the pass's own, and
evicts what `kv_reference.py` ranks lowest. SmolLM2, f32, one thread; the run takes a minute.
"""

import math
from dataclasses import dataclass

import torch
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

import kv_reference as ours
from golden_file import SMOLLM2, check_smollm2, header, read_text, write_json
from make_kvpress import bitmask
from reference import load_model, logprobs_of, setup
from reference_text import load_tokenizer, prefix_of

SCRIPT = "test/golden/make_passes.py"
CONTEXT, CONTINUATION = 302, 32
NEAR = 0.011  # scores this close (relative) to an edge of a selection are listed


@dataclass
class Spec:
    name: str
    policy: str
    pass_tokens: int
    budget: int  # mean rows per layer and head, window included
    window: int
    pool: str
    pool_size: int


SPECS = [
    # The last pass has 2 tokens: 6 of its 8 window queries come from the pass before.
    Spec("pyramidkv", "pyramidkv", 100, 64, 8, "avg", 5),
    Spec("snapkv", "snapkv", 151, 48, 16, "max", 7),
    Spec("ada-kv", "ada-kv", 128, 40, 8, "avg", 5),
]
BETA, HEAD_FLOOR = 20, 0.2


def layer_budgets(spec: Spec, layers: int) -> list[int]:
    """Rows per layer for the whole prompt: uniform, or PyramidKV's with an exact total."""
    if spec.policy != "pyramidkv":
        return [spec.budget] * layers
    mean = spec.budget - spec.window
    least = mean / BETA
    most = 2 * mean - least
    assert most <= CONTEXT - spec.window
    rows = [math.floor(spec.window + most - l * (most - least) / (layers - 1)) for l in range(layers)]
    for layer in range(layers * spec.budget - sum(rows)):
        rows[layer] += 1
    return rows


class Rows:
    """One layer's kept rows, per KV head: `keys`, `values` (n, d), `positions` (n).

    `near`: positions whose score came close to an edge, and how close in any pass.
    """

    def __init__(self, heads: int, size: int):
        self.keys = [torch.zeros(0, size) for _ in range(heads)]
        self.values = [torch.zeros(0, size) for _ in range(heads)]
        self.positions = [torch.zeros(0, dtype=torch.long) for _ in range(heads)]
        self.queries = torch.zeros(0, 0, size)  # (heads, last ones, d)
        self.near: list[dict[int, float]] = [{} for _ in range(heads)]

    def append(self, keys: torch.Tensor, values: torch.Tensor, positions: torch.Tensor) -> None:
        for h in range(len(self.keys)):
            self.keys[h] = torch.cat([self.keys[h], keys[h]])
            self.values[h] = torch.cat([self.values[h], values[h]])
            self.positions[h] = torch.cat([self.positions[h], positions])

    def weights(self, head: int, queries: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        """(query heads, queries, n): softmax over the rows that are not later than the query."""
        logits = queries @ self.keys[head].T / math.sqrt(queries.shape[-1])
        hidden = self.positions[head][None] > positions[:, None]
        return logits.masked_fill(hidden, -math.inf).softmax(-1, dtype=torch.float32)

    def keep(self, head: int, rows: torch.Tensor) -> None:
        for tensors in (self.keys, self.values, self.positions):
            tensors[head] = tensors[head][rows]


def scores_of(rows: Rows, spec: Spec, tokens: int) -> list[torch.Tensor]:
    """Per KV head, for each row but the window's: what the last queries pay to it, pooled."""
    window = min(spec.window, tokens)
    positions = torch.arange(tokens - window, tokens)
    groups = rows.queries[:, -window:].unflatten(0, (len(rows.keys), -1))
    result = []
    for head, queries in enumerate(groups):
        paid = rows.weights(head, queries, positions).mean((0, 1))[:-window]
        result.append(ours.pool(paid[None], spec.pool, spec.pool_size)[0])
    return result


def shares(scores: list[torch.Tensor], spec: Spec, budget: int) -> tuple[list[int], list[tuple]]:
    """Rows of each head beside the window; (lowest kept, highest evicted score) where heads compete.

    Equal, or Ada-KV's: the best of all heads, above a floor.
    """
    free = budget - spec.window
    if spec.policy != "ada-kv":
        return [free] * len(scores), []
    floor = max(math.floor(budget * HEAD_FLOOR), 1, spec.window) - spec.window
    ranked = [torch.sort(row, descending=True).values for row in scores]
    rest = torch.sort(torch.cat([row[floor:] for row in ranked]), descending=True).values
    lowest, highest = rest[(free - floor) * len(scores) - 1], rest[(free - floor) * len(scores)]
    assert lowest > highest, "a tie between heads"
    return [floor + int((row[floor:] >= lowest).sum()) for row in ranked], [(lowest, highest)]


def compress(rows: Rows, spec: Spec, budget: int, tokens: int) -> None:
    if sum(map(len, rows.positions)) <= budget * len(rows.keys):
        return
    scores = scores_of(rows, spec, tokens)
    counts, edges = shares(scores, spec, budget)
    for head, (row, count) in enumerate(zip(scores, counts)):
        best = torch.sort(row, descending=True).values
        chosen = ours.select(row, count)
        kept = torch.zeros(len(row), dtype=torch.bool).index_fill(0, chosen, True)
        for lowest, highest in [*edges, *zip(best[count - 1 : count], best[count : count + 1])]:
            # A row changes sides if its score passes the first one on the other side.
            distances = (torch.where(kept, highest, lowest) / row - 1).abs()
            for at in (distances <= NEAR).nonzero()[:, 0].tolist():
                near, position = rows.near[head], int(rows.positions[head][at])
                near[position] = min(distances[at].item(), near.get(position, 1))
        window = torch.arange(len(row), len(row) + spec.window)
        rows.keep(head, torch.cat([chosen, window]))


def run_passes(model, ids: list[int], spec: Spec) -> tuple[list[Rows], list, torch.Tensor]:
    """The layers, the positions that they keep of the CONTEXT, and logits that predict the others."""
    config = model.config
    layers = [Rows(config.num_key_value_heads, config.head_dim) for _ in range(config.num_hidden_layers)]
    budgets = layer_budgets(spec, len(layers))
    state = {}

    def attention(module, query, key, value, attention_mask, dropout=0.0, scaling=None, **kwargs):
        rows, positions, q = layers[module.layer_idx], state["positions"], query[0]
        rows.append(key[0], value[0], positions)
        groups = q.unflatten(0, (len(rows.keys), -1))
        out = [rows.weights(h, group, positions) @ rows.values[h] for h, group in enumerate(groups)]
        earlier = rows.queries if rows.queries.numel() else q[:, :0]
        rows.queries = torch.cat([earlier, q], dim=1)[:, -spec.window :]
        if state["evict"]:
            compress(rows, spec, budgets[module.layer_idx], int(positions[-1]) + 1)
        return torch.cat(out).transpose(0, 1)[None].contiguous(), None

    def forward(first: int, end: int, evict: bool) -> torch.Tensor:
        state.update(positions=torch.arange(first, end), evict=evict)
        positions = state["positions"][None]
        return model(torch.tensor([ids[first:end]]), position_ids=positions, use_cache=False).logits[0]

    ALL_ATTENTION_FUNCTIONS["golden_passes"] = attention
    model.set_attn_implementation("golden_passes")
    for first in range(0, CONTEXT, spec.pass_tokens):
        logits = forward(first, min(first + spec.pass_tokens, CONTEXT), True)
    kept = [[position.clone() for position in rows.positions] for rows in layers]
    rest = forward(CONTEXT, len(ids) - 1, False)
    model.set_attn_implementation("sdpa")
    return layers, kept, torch.cat([logits[-1:], rest])


def make_case(model, ids: list[int], spec: Spec) -> dict:
    layers, kept, logits = run_passes(model, ids, spec)
    masks = [[torch.zeros(CONTEXT, dtype=torch.bool).index_fill(0, at, True) for at in heads]
             for heads in kept]
    case = {
        "name": spec.name,
        "policy": spec.policy,
        "passTokens": spec.pass_tokens,
        "passes": math.ceil(CONTEXT / spec.pass_tokens),
        "options": {"budget": spec.budget, "windowSize": spec.window,
                    "pool": spec.pool, "poolSize": spec.pool_size},
        "budgets": [[len(at) for at in heads] for heads in kept],
        "kept": [[bitmask(mask) for mask in heads] for heads in masks],
        "near": [[sorted(near.items()) for near in rows.near] for rows in layers],
        "logprobs": logprobs_of(logits, ids[CONTEXT:]),
    }
    assert sum(map(sum, case["budgets"])) == spec.budget * sum(map(len, kept))
    print(spec.name, [sum(heads) / len(heads) for heads in case["budgets"]], flush=True)
    return case


def check_one_pass(model, ids: list[int]) -> None:
    """Read at once and with room for all, this attention is the model's own."""
    spec = Spec("all", "snapkv", CONTEXT, CONTEXT, 8, "avg", 5)
    *_, logits = run_passes(model, ids, spec)
    own = model(torch.tensor([ids]), use_cache=False).logits[0, CONTEXT - 1 : -1]
    difference = (logits - own).abs().max().item()
    assert difference < 1e-3, difference


def main() -> None:
    setup()
    check_smollm2()
    model, tokenizer = load_model(SMOLLM2), load_tokenizer(SMOLLM2)
    source = "prose.txt"
    text, ids = prefix_of(tokenizer, read_text(source), CONTEXT + CONTINUATION)
    check_one_pass(model, ids)
    cases = [make_case(model, ids, spec) for spec in SPECS]
    head = header("passes", SCRIPT, SMOLLM2)
    write_json("passes.json", head, context=CONTEXT, tokenIds=ids, source=source, text=text, cases=cases)


if __name__ == "__main__":
    main()
