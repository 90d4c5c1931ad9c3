"""Which settings of which press become goldens."""

from dataclasses import dataclass

import kvpress


@dataclass
class Spec:
    """One case, in this project's words for policy and options."""

    name: str
    policy: str
    options: dict
    score_layers: list[int] | None = None  # layers whose scores are stored; all by default
    differ: bool = False  # budgets must differ between layers


def press_of(spec: Spec):
    o = spec.options
    window = {"window_size": o.get("windowSize"), "kernel_size": o.get("poolSize")}
    ratio = {"compression_ratio": o["compressionRatio"]}
    if spec.policy == "pyramidkv":
        return kvpress.PyramidKVPress(**ratio, **window, beta=o["beta"])
    if spec.policy == "snapkv":
        return kvpress.SnapKVPress(**ratio, **window)
    if spec.policy == "ada-kv":
        return kvpress.AdaKVPress(kvpress.SnapKVPress(**ratio, **window), o["alphaSafeguard"])
    if spec.policy == "streaming-llm":
        return kvpress.StreamingLLMPress(**ratio, n_sink=o["numSinks"])
    return {"knorm": kvpress.KnormPress, "tova": kvpress.TOVAPress}[spec.policy](**ratio)


def window(ratio: float, size: int, pool: int, **more) -> dict:
    return {"compressionRatio": ratio, "windowSize": size, "pool": "avg", "poolSize": pool, **more}


AUTHORS = {"windowSize": 8, "pool": "max", "poolSize": 7, "beta": 20}
FEW = [0, 7, 15, 22, 29]
SPECS_512 = [
    Spec("pyramidkv", "pyramidkv", window(0.6, 8, 5, beta=20), differ=True),
    Spec("pyramidkv-clipped", "pyramidkv", window(0.4, 8, 5, beta=20), [], differ=True),
    Spec("snapkv", "snapkv", window(0.75, 32, 7), FEW),
    Spec("knorm", "knorm", {"compressionRatio": 0.5}, FEW),
    Spec("tova", "tova", {"compressionRatio": 0.5}, FEW),
    Spec("streaming-llm", "streaming-llm", {"compressionRatio": 0.5, "numSinks": 4}),
    Spec("ada-kv", "ada-kv", window(0.75, 8, 5, alphaSafeguard=0.2), FEW),
    Spec("authors", "authors", {"maxCapacityPrompt": 96, **AUTHORS}, FEW, differ=True),
]
SPECS_1024 = [
    Spec("pyramidkv", "pyramidkv", window(0.75, 8, 5, beta=20), FEW, differ=True),
    Spec("pyramidkv-wide", "pyramidkv", window(0.75, 16, 13, beta=10), [], differ=True),
    Spec("snapkv", "snapkv", window(0.875, 8, 5), []),
    Spec("ada-kv", "ada-kv", window(0.875, 8, 5, alphaSafeguard=0.2), []),
    Spec("authors", "authors", {"maxCapacityPrompt": 128, **AUTHORS}, FEW, differ=True),
]
SPECS_TINY = [
    Spec("pyramidkv", "pyramidkv", window(0.6, 8, 5, beta=5), differ=True),
    Spec("snapkv", "snapkv", window(0.75, 8, 7)),
    Spec("ada-kv", "ada-kv", window(0.75, 8, 5, alphaSafeguard=0.2)),
    Spec("authors", "authors", {"maxCapacityPrompt": 56, **AUTHORS, "beta": 4}, differ=True),
]
