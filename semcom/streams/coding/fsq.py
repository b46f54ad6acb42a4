"""Finite scalar quantisation (arXiv 2309.15505): each value is rounded to one of a few levels.

No codebook to learn or to collapse, and a fixed length on the wire: a word of dimensions with 8, 8, 8, 8
and 4 levels is 14 bits.
"""

from __future__ import annotations

from math import prod

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
