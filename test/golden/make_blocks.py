"""Writes data/blocks.json: blocks of every type that src/formats/ reads, and their values as the `gguf` package gives
them. Environment: see golden_file.py. Run: python test/golden/make_blocks.py
"""

import base64
from importlib.metadata import version

import gguf
import numpy as np

from golden_file import FORMAT, SEED, write_json

ELEMENTS = 1024

# Type: byte offsets of the f16 scales (d, m) of a block. The other bytes of a block may hold anything.
SCALES = {
    "Q4_0": (0,),
    "Q4_1": (0, 2),
    "Q5_0": (0,),
    "Q5_1": (0, 2),
    "Q8_0": (0,),
    "Q4_K": (0, 2),
    "Q5_K": (0, 2),
    "Q6_K": (208,),
}

# Zero, negative zero, smallest and largest subnormal, smallest normal, one and its neighbour, largest.
EDGE_HALVES = np.array(
    [0x0000, 0x8000, 0x0001, 0x83FF, 0x0400, 0x3C00, 0xBC01, 0x7BFF, 0xFBFF], np.uint16
)


def random_halves(rng: np.random.Generator, count: int) -> np.ndarray:
    """Finite halves of any exponent and sign, as bits."""
    bits = rng.integers(0, 0x10000, count, dtype=np.uint16)
    finite = (bits & 0x7C00) != 0x7C00
    return np.where(finite, bits, bits & 0x83FF)


def float_bytes(name: str, rng: np.random.Generator) -> np.ndarray:
    width = np.uint32 if name == "F32" else np.uint16
    exponent = {"F32": 0x7F800000, "F16": 0x7C00, "BF16": 0x7F80}[name]
    bits = rng.integers(0, np.iinfo(width).max, ELEMENTS, dtype=width, endpoint=True)
    bits = np.where((bits & width(exponent)) == exponent, bits & ~width(exponent), bits)
    if name == "F16":
        bits[: len(EDGE_HALVES)] = EDGE_HALVES
    return bits.view(np.uint8)


def block_bytes(name: str, rng: np.random.Generator) -> np.ndarray:
    block_elements, block_size = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[name]]
    blocks = ELEMENTS // block_elements
    data = rng.integers(0, 256, (blocks, block_size), dtype=np.uint8)
    data[0] = 0  # smallest and largest quants and inner scales
    data[1] = 0xFF
    for at in SCALES[name]:
        halves = random_halves(rng, blocks)
        edges = rng.permutation(EDGE_HALVES)[: min(blocks // 2, len(EDGE_HALVES))]
        halves[1 : 1 + len(edges)] = edges
        data[:, at : at + 2] = halves.view(np.uint8).reshape(blocks, 2)
    return data.reshape(-1)


def base64_of(array: np.ndarray) -> str:
    return base64.b64encode(array.tobytes()).decode("ascii")


def main() -> None:
    rng = np.random.default_rng(SEED)
    cases = []
    for name in ["F32", "F16", "BF16", *SCALES]:
        data = block_bytes(name, rng) if name in SCALES else float_bytes(name, rng)
        values = gguf.dequantize(data.reshape(1, -1), gguf.GGMLQuantizationType[name])
        values = np.ascontiguousarray(values.reshape(-1), dtype="<f4")
        assert values.size == ELEMENTS and np.isfinite(values).all(), name
        cases.append({"type": name, "bytes": base64_of(data), "values": base64_of(values)})
    head = {
        "format": FORMAT,
        "kind": "blocks",
        "script": "test/golden/make_blocks.py",
        "versions": {p: version(p) for p in ("gguf", "numpy")},
        "seed": SEED,
        "elements": ELEMENTS,
    }
    write_json("blocks.json", head, cases=cases)


if __name__ == "__main__":
    main()
