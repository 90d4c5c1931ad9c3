"""A small safetensors file, and what the reference implementation says to damaged headers.

    .venv-golden/bin/python test/golden/make_safetensors.py   # writes test/golden/data/safetensors-types.*

The environment is described in README.md. `verdicts` are whole files (header and zeros) with whether the Python
package, which is the Rust implementation, opens them.
"""

import base64
import json
import random
import struct

import torch
from safetensors import SafetensorError, safe_open, deserialize
from safetensors.torch import save_file

from golden_file import DATA, SEED, version

NAME = "safetensors-types"


def tensors() -> dict:
    g = torch.Generator().manual_seed(SEED)
    r = lambda *shape: torch.randn(shape, generator=g)
    return {
        "single": r(3, 5),
        "half": r(2, 64).half(),
        "brain": r(4, 32).bfloat16(),
        "scalar": torch.tensor(-1.5),
        "empty": torch.zeros(0, 4),
        "caf\u00e9 \u65e5\u672c": torch.tensor([0.0, -0.0, 65504.0, 6e-8]).half(),
        "ids": torch.arange(7),
        "flags": torch.tensor([True, False, True]),
        "tiny": torch.tensor([1e-40, -3e38, float("inf"), float("nan")]).bfloat16(),
    }


def opens(data: bytes) -> bool:
    try:
        deserialize(data)
        return True
    except SafetensorError:
        return False


def file_of(header, data_bytes: int, length=None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + bytes(data_bytes)


def entry(begin, end, shape, dtype="F32", **more):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end], **more}


def cases() -> dict[str, bytes]:
    a, b = entry(0, 24, [2, 3]), entry(24, 32, [2])
    two = {"a": a, "b": b}
    text = json.dumps(two).encode()
    found = {
        "two tensors": file_of(two, 32),
        "no tensor": file_of({}, 0),
        "no tensor, some data": file_of({}, 4),
        "spaces after the header": file_of(text + b"   ", 32),
        "a space before it": file_of(b" " + text, 32),
        "a line break after the brace": file_of(b"{\n" + text[1:], 32),
        "an array": file_of(b"[]", 0),
        "metadata": file_of({"__metadata__": {"format": "pt"}, **two}, 32),
        "metadata null": file_of({"__metadata__": None, **two}, 32),
        "metadata with a number": file_of({"__metadata__": {"n": 1}, **two}, 32),
        "metadata a list": file_of({"__metadata__": [], **two}, 32),
        "one byte too few": file_of(two, 31),
        "one byte too many": file_of(two, 33),
        "a hole": file_of({"a": a, "b": entry(28, 36, [2])}, 36),
        "an overlap": file_of({"a": a, "b": entry(20, 28, [2])}, 28),
        "data from 4 on": file_of({"a": entry(4, 28, [2, 3])}, 28),
        "in the other order": file_of({"b": b, "a": a}, 32),
        "the wrong size": file_of({"a": entry(0, 24, [2, 2])}, 24),
        "the wrong dtype": file_of({"a": entry(0, 24, [2, 3], "F16")}, 24),
        "an unknown dtype": file_of({"a": entry(0, 24, [2, 3], "F31")}, 24),
        "a dtype in small letters": file_of({"a": entry(0, 24, [2, 3], "f32")}, 24),
        "offsets the wrong way round": file_of({"a": entry(24, 0, [2, 3])}, 24),
        "three offsets": file_of({"a": {"dtype": "F32", "shape": [6], "data_offsets": [0, 24, 24]}}, 24),
        "a negative offset": file_of({"a": entry(-4, 20, [6])}, 20),
        "a negative dimension": file_of({"a": entry(0, 24, [-2, -3])}, 24),
        "a huge dimension": file_of({"a": entry(0, 24, [2**62, 2**62])}, 24),
        "dimensions that wrap round": file_of({"a": entry(0, 0, [2**32, 2**32])}, 0),
        "a scalar": file_of({"a": entry(0, 4, [])}, 4),
        "an empty tensor": file_of({"a": entry(0, 0, [0, 5])}, 0),
        "an empty tensor in the middle": file_of({"a": a, "e": entry(24, 24, [0]), "b": b}, 32),
        "an empty tensor past the end": file_of({"a": a, "e": entry(99, 99, [0])}, 24),
        "nibbles": file_of({"a": entry(0, 3, [6], "F4")}, 3),
        "an odd number of nibbles": file_of({"a": entry(0, 3, [5], "F4")}, 3),
        "complex": file_of({"a": entry(0, 16, [2], "C64")}, 16),
        "further keys": file_of({"a": entry(0, 24, [2, 3], strides=[3, 1])}, 24),
        "no shape": file_of({"a": {"dtype": "F32", "data_offsets": [0, 24]}}, 24),
        "no dtype": file_of({"a": {"shape": [6], "data_offsets": [0, 24]}}, 24),
        "no offsets": file_of({"a": {"dtype": "F32", "shape": [6]}}, 24),
        "an entry that is a string": file_of({"a": "F32"}, 0),
        "an empty name": file_of({"": a}, 24),
        "a name like a prototype": file_of(b'{"__proto__":' + json.dumps(a).encode() + b"}", 24),
        "a name in surrogates": file_of(b'{"\\ud83d\\ude00":' + json.dumps(a).encode() + b"}", 24),
        "no UTF-8": file_of(text.replace(b'"a"', b'"\xff"'), 32),
        "cut JSON": file_of(text[:-1], 32),
        "a trailing comma": file_of(text[:-1] + b",}", 32),
        "text after the object": file_of(text + b"{}", 32),
        "a zero byte after the object": file_of(text + b"\0", 32),
        "a comment": file_of(text[:-1] + b"/**/}", 32),
        "a number with a leading zero": file_of(text.replace(b"[2]", b"[02]"), 32),
        "length one too long": file_of(text, 0, len(text) + 1),
        "length one too short": file_of(text, 32, len(text) - 1),
        "length past the cap": file_of(text, 32, 100_000_001),
        "length 2^64 - 1": file_of(text, 32, 2**64 - 1),
        "length 0": file_of(b"", 32),
        "seven bytes": b"\0" * 7,
        "nothing": b"",
        "deep nesting": file_of(b'{"a":' + b"[" * 3000 + b"]" * 3000 + b"}", 0),
    }
    rng = random.Random(SEED)
    whole = file_of(two, 32)
    for i in range(200):
        bytes_ = bytearray(whole)
        for _ in range(rng.randint(1, 2)):
            bytes_[rng.randrange(8, len(bytes_) - 32)] = rng.choice(b'0123456789{}[],:" abFx\\')
        found[f"mutant {i}"] = bytes(bytes_)
    return found


def main() -> None:
    path = DATA / f"{NAME}.safetensors"
    ours = tensors()
    save_file(ours, path, metadata={"format": "pt", "caf\u00e9": "\u65e5\u672c"})
    with safe_open(path, "pt") as file:
        read = {name: file.get_tensor(name) for name in file.keys()}
    described = [
        {
            "name": name,
            "dtype": str(tensor.dtype).removeprefix("torch."),
            "shape": list(tensor.shape),
            # Bits of the values as singles: NaN and infinity have no JSON.
            "bits": tensor.float().reshape(-1).view(torch.int32).tolist(),
        }
        for name, tensor in sorted(read.items())
    ]
    verdicts = [
        {"name": name, "opens": opens(data), "file": base64.b64encode(data).decode()}
        for name, data in cases().items()
    ]
    golden = {"safetensors": version("safetensors"), "tensors": described, "verdicts": verdicts}
    text = json.dumps(golden, separators=(",", ":"), ensure_ascii=False)
    (DATA / f"{NAME}.json").write_text(text.replace('},{"', '},\n{"') + "\n", encoding="utf-8")
    print(sum(v["opens"] for v in verdicts), "of", len(verdicts), "open")


if __name__ == "__main__":
    main()
