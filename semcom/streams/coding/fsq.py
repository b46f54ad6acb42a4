"""Finite scalar quantisation (arXiv 2309.15505): each value is rounded to one of a few levels.

No codebook to learn or to collapse, and a fixed length on the wire: a word of dimensions with 8, 8, 8, 8
and 4 levels is 14 bits.
"""

from __future__ import annotations

from math import prod

import numpy as np
import torch
from torch import Tensor, nn

LEVELS = (8, 8, 8, 8, 4)
WORD_BITS = (prod(LEVELS) - 1).bit_length()


class FSQ(nn.Module):
    """Rounds [..., 5] features to levels within [-1,1], with the gradient passed straight through."""

    levels: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("levels", torch.tensor(LEVELS, dtype=torch.float32), persistent=False)

    def forward(self, z: Tensor) -> Tensor:
        """[..., 5] unbounded → [..., 5] quantised in [-1,1]; differentiable."""
        bounded = torch.tanh(z)
        return bounded + (self.values(self.digits(z)) - bounded).detach()

    def digits(self, z: Tensor) -> Tensor:
        """[..., 5] unbounded → [..., 5] level indices, int64."""
        return ((torch.tanh(z) + 1) / 2 * (self.levels - 1)).round().long()

    def values(self, digits: Tensor) -> Tensor:
        """[..., 5] level indices → [..., 5] values in [-1,1]."""
        return 2 * digits / (self.levels - 1) - 1


def pack(digits: Tensor) -> bytes:
    """[N,5] level indices → ⌈14·N / 8⌉ bytes, most significant bit first."""
    words = np.zeros(len(digits), np.int64)
    for column, levels in zip(digits.T.numpy(), LEVELS, strict=True):
        words = words * levels + column
    bits = words[:, None] >> np.arange(WORD_BITS)[::-1] & 1
    return np.packbits(bits.astype(np.uint8)).tobytes()


def unpack(data: bytes) -> Tensor:
    """Level indices [N,5] of as many whole words as `data` holds."""
    count = 8 * len(data) // WORD_BITS
    bits = np.unpackbits(np.frombuffer(data, np.uint8), count=count * WORD_BITS).reshape(count, WORD_BITS)
    words = bits.astype(np.int64) @ (1 << np.arange(WORD_BITS, dtype=np.int64)[::-1])
    columns = []
    for levels in reversed(LEVELS):
        columns.append(words % levels)
        words = words // levels
    return torch.from_numpy(np.stack(columns[::-1], 1))
