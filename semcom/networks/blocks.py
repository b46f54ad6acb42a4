"""Convolution blocks the transmitter's and the receiver's networks share."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Bottleneck(nn.Module):
    """`x + 1×1(silu(3×3(silu(1×1(x)))))` at half the width inside, no normalisation.

    Four to six times cheaper on a processor than two full 3×3 convolutions, and without the batch or
    group statistics that make a picture depend on its tile.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = channels // 2
        self.reduce = nn.Conv2d(channels, inner, 1)
        self.mix = nn.Conv2d(inner, inner, 3, padding=1)
        self.expand = nn.Conv2d(inner, channels, 1)
        with torch.no_grad():
            self.expand.weight.mul_(0.3)

    def forward(self, x: Tensor) -> Tensor:
        """[B,C,h,w] → [B,C,h,w]."""
        return x + self.expand(F.silu(self.mix(F.silu(self.reduce(x)))))
