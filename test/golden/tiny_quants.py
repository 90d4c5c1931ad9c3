"""Encoders that the `gguf` package lacks: Q4_K, Q5_K, Q6_K by plain rounding.

They don't search for the best scales as llama.cpp does; the blocks are valid, and the reference model
is made from what `gguf` decodes out of them. A super-block holds 256 values of one row.
"""

import gguf
import numpy as np

SUPER = 256


def f16_bytes(x: np.ndarray) -> np.ndarray:
    return x.astype(np.float16).view(np.uint8).reshape(len(x), 2)


def safe(x: np.ndarray) -> np.ndarray:
    """A divisor: zero becomes one."""
    return np.where(x == 0, 1, x)


def scales_and_mins(blocks: np.ndarray, levels: int):
    """Eight 6-bit scales and mins per super-block: value = d * scale * q - dmin * min."""
    sub = blocks.reshape(len(blocks), 8, 32)
    low = np.maximum(-sub.min(-1), 0)
    step = (np.maximum(sub.max(-1), 0) + low) / levels
    d = (step.max(-1) / 63).astype(np.float16).astype(np.float32)
    dmin = (low.max(-1) / 63).astype(np.float16).astype(np.float32)
    scale = np.clip(np.rint(step / safe(d)[:, None]), 0, 63).astype(np.uint8)
    minimum = np.clip(np.rint(low / safe(dmin)[:, None]), 0, 63).astype(np.uint8)
    dl = d[:, None] * scale
    q = (sub + (dmin[:, None] * minimum)[..., None]) / safe(dl)[..., None]
    return d, dmin, scale, minimum, np.clip(np.rint(q), 0, levels).astype(np.uint8)


def pack_scales(scale: np.ndarray, minimum: np.ndarray) -> np.ndarray:
    """Twelve bytes: six bits of the first four of each; nibbles of the rest, their high bits above."""
    s_low, s_high, m_low, m_high = scale[:, :4], scale[:, 4:], minimum[:, :4], minimum[:, 4:]
    first = s_low | ((s_high >> 4) << 6)
    second = m_low | ((m_high >> 4) << 6)
    third = (s_high & 15) | ((m_high & 15) << 4)
    return np.hstack([first, second, third])


def nibbles(q: np.ndarray) -> np.ndarray:
    """(n, 8, 32) to 128 bytes: of each pair of sub-blocks the first in the low nibbles."""
    pairs = (q & 15).reshape(len(q), 4, 2, 32)
    return (pairs[:, :, 0] | (pairs[:, :, 1] << 4)).reshape(len(q), 128)


def q4_k(blocks: np.ndarray) -> np.ndarray:
    d, dmin, scale, minimum, q = scales_and_mins(blocks, 15)
    return np.hstack([f16_bytes(d), f16_bytes(dmin), pack_scales(scale, minimum), nibbles(q)])


def q5_k(blocks: np.ndarray) -> np.ndarray:
    d, dmin, scale, minimum, q = scales_and_mins(blocks, 31)
    bit = np.arange(8, dtype=np.uint8)[None, :, None]
    high = np.bitwise_or.reduce((q >> 4) << bit, axis=1)
    head = [f16_bytes(d), f16_bytes(dmin), pack_scales(scale, minimum)]
    return np.hstack([*head, high, nibbles(q)])


def q6_k(blocks: np.ndarray) -> np.ndarray:
    sub = blocks.reshape(len(blocks), 16, 16)
    step = np.abs(sub).max(-1) / 31
    d = (step.max(-1) / 127).astype(np.float16).astype(np.float32)
    scale = np.clip(np.rint(step / safe(d)[:, None]), -128, 127).astype(np.int8)
    q = np.rint(sub / safe(d[:, None] * scale)[..., None])
    q = (np.clip(q, -32, 31) + 32).astype(np.uint8).reshape(len(blocks), 2, 4, 32)
    low = (q & 15).reshape(len(blocks), 2, 2, 64)
    low = (low[:, :, 0] | (low[:, :, 1] << 4)).reshape(len(blocks), 128)
    shift = np.array([0, 2, 4, 6], dtype=np.uint8)[None, None, :, None]
    high = np.bitwise_or.reduce((q >> 4) << shift, axis=2).reshape(len(blocks), 64)
    return np.hstack([low, high, scale.view(np.uint8), f16_bytes(d)])


ENCODERS = {"Q4_K": q4_k, "Q5_K": q5_k, "Q6_K": q6_k}


def quantize(weight: np.ndarray, type_name: str) -> np.ndarray:
    """Bytes of an f32 matrix in a GGUF tensor type (f32 and f16 stay arrays of their own)."""
    if type_name not in ENCODERS:
        return gguf.quants.quantize(weight, gguf.GGMLQuantizationType[type_name])
    rows, cols = weight.shape
    blocks = ENCODERS[type_name](weight.astype(np.float32).reshape(-1, SUPER))
    data = np.ascontiguousarray(blocks).reshape(rows, -1)
    decoded = gguf.quants.dequantize(data, gguf.GGMLQuantizationType[type_name])
    error = np.sqrt(((decoded - weight) ** 2).mean() / (weight**2).mean())
    assert error < {"Q4_K": 0.12, "Q5_K": 0.06, "Q6_K": 0.04}[type_name], (type_name, error)
    return data
