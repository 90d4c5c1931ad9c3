"""Weights as the engine holds them on the GPU: src/formats/planar.ts says which types it rounds.

K-quants have two scales for each block; their product is rounded to f16. Matrices of F32 and BF16
become f16. Everything else is kept exactly, and so are vectors.
"""

import gguf
import numpy as np


def f16(x: np.ndarray) -> np.ndarray:
    return x.astype(np.float16).astype(np.float32)


def column(blocks: np.ndarray, start: int) -> np.ndarray:
    """The f16 at byte `start` of every block, as a column of f32."""
    return blocks[:, start : start + 2].copy().view(np.float16).astype(np.float32)


def scales_and_mins(blocks: np.ndarray, type_name: str) -> tuple[np.ndarray, np.ndarray]:
    """Products of scales, and minimums, of each sub-block: (super-blocks, sub-blocks)."""
    if type_name == "Q6_K":
        scale = column(blocks, 208) * blocks[:, 192:208].view(np.int8)
        return scale, np.zeros_like(scale)
    scale, minimum = gguf.quants.Q4_K.get_scale_min(blocks[:, 4:16])  # the same in Q5_K
    return column(blocks, 0) * scale, -column(blocks, 2) * minimum


def repacked(tensor: gguf.ReaderTensor, values: np.ndarray) -> np.ndarray:
    """`values`, the dequantised tensor, with the engine's rounding."""
    type_name = tensor.tensor_type.name
    if type_name in ("F32", "BF16"):
        return f16(values) if values.ndim == 2 else values
    if not type_name.endswith("_K"):
        return values
    block_bytes = gguf.GGML_QUANT_SIZES[tensor.tensor_type][1]
    scale, minimum = scales_and_mins(tensor.data.reshape(-1, block_bytes), type_name)
    sub_blocks = values.reshape(*scale.shape, -1)
    safe = np.where(scale == 0, 1, scale)[..., None]
    quants = np.rint((sub_blocks - minimum[..., None]) / safe)
    return (f16(scale)[..., None] * quants + f16(minimum)[..., None]).reshape(values.shape)
