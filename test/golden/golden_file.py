"""Where goldens live and how they are written: paths, header, compact JSON.

The Python environment of all golden scripts is described in README.md.
"""

import hashlib
import json
import math
import platform
from importlib.metadata import version
from pathlib import Path

FORMAT = 1  # test/golden/format.ts refuses every other number
SEED = 20241
HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
DATA = HERE / "data"
TEXT = HERE / "text"
SMOLLM2 = ROOT / "public" / "models" / "SmolLM2-135M-Instruct-Q4_1.gguf"
SMOLLM2_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
PACKAGES = ("torch", "transformers", "tokenizers", "gguf", "kvpress", "numpy")


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def check_smollm2() -> None:
    """Stop unless the default model is there, byte for byte."""
    if not SMOLLM2.exists() or sha256(SMOLLM2) != SMOLLM2_SHA256:
        raise SystemExit(f"{SMOLLM2} is missing or not the default model; fetch it first")


def read_text(name: str) -> str:
    return (TEXT / name).read_text(encoding="utf-8")


def header(kind: str, script: str, model: Path) -> dict:
    return {
        "format": FORMAT,
        "kind": kind,
        "script": script,
        "versions": {"python": platform.python_version(), **{p: version(p) for p in PACKAGES}},
        "seed": SEED,
        "dtype": "float32",
        "model": {"file": model.name, "bytes": model.stat().st_size, "sha256": sha256(model)},
    }


def rounded(value, digits: int = 7):
    """Floats to `digits` significant digits, through lists and dicts; refuses inf and NaN."""
    if isinstance(value, float):
        assert math.isfinite(value), value
        return float(f"{value:.{digits}g}")
    if isinstance(value, dict):
        return {k: rounded(v, digits) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [rounded(v, digits) for v in value]
    return value


def write_json(name: str, head: dict, **body) -> None:
    """Compact JSON, one line per top-level entry and per case."""
    path = DATA / name
    DATA.mkdir(exist_ok=True)
    compact = {"separators": (",", ":"), "ensure_ascii": False}
    lines = [f'"header":{json.dumps(head, **compact)}']
    for key, value in rounded(body).items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            items = ",\n".join(json.dumps(item, **compact) for item in value)
            lines.append(f"{json.dumps(key)}:[\n{items}\n]")
        else:
            lines.append(f"{json.dumps(key)}:{json.dumps(value, **compact)}")
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    print(f"{path.relative_to(ROOT)}: {path.stat().st_size:,} bytes")
