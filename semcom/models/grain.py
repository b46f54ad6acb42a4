"""Film grain: the noise of a photograph, sent as one number and made again at the receiver.

No codec at these rates keeps the noise of the sensor or the film; without it smooth areas look, and score,
unlike the photograph. The transmitter measures its level, four bits say it, the receiver adds noise of that
level: the idea of AV1's film-grain synthesis, with white grain.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

LEVELS = 16
_STEP = 0.25 / 255
_BLOCK = 16
_SMOOTHEST = 0.2
# Independent grain in R, G and B has two thirds of its level in luma, where it was measured
_COLOUR = 1.5
_LUMA = (0.299, 0.587, 0.114)
# Twice the second difference in both directions: blind to gradients, of unit power for white noise
# (J. Immerkaer, Fast noise variance estimation, 1996)
_KERNEL = ((1 / 6, -1 / 3, 1 / 6), (-1 / 3, 2 / 3, -1 / 3), (1 / 6, -1 / 3, 1 / 6))


def measure(image: Tensor) -> int:
    """Level 0–15 of a picture [3,H,W] in [0,1]; a step is a standard deviation of 1/1020 in luma."""
    return min(round(_level(image) / _STEP), LEVELS - 1)


def grey_levels(level: int) -> float:
    """Standard deviation in luma of a level, in grey levels of 255."""
    return 255 * _STEP * level


def add(image: Tensor, level: int, seed: int) -> Tensor:
    """Picture [3,H,W] in [0,1] with as much grain as it lacks to `level`; the same seed, the same grain."""
    missing = (level * _STEP) ** 2 - _level(image) ** 2
    if missing <= 0:
        return image
    noise = torch.randn(image.shape, generator=torch.Generator().manual_seed(seed))
    return (image + _COLOUR * math.sqrt(missing) * noise).clamp(0, 1)


def _level(image: Tensor) -> float:
    """Standard deviation of the luma noise in the smoothest fifth of a picture."""
    if min(image.shape[-2:]) < _BLOCK + 2:
        return 0.0
    luma = torch.tensor(_LUMA) @ image.flatten(1)
    rough = F.conv2d(luma.view(1, 1, *image.shape[-2:]), torch.tensor(_KERNEL)[None, None])
    # Sorting by hand: torch.quantile refuses the blocks of the largest pictures
    blocks = F.avg_pool2d(rough.square(), _BLOCK).flatten().sort().values
    return float(blocks[int(_SMOOTHEST * len(blocks))].sqrt())
