"""Film grain: the noise of a photograph, sent as one number and made again at the receiver.

No codec at these rates keeps the noise of the sensor or the film; without it smooth areas look, and score,
unlike the photograph. The transmitter measures its level, four bits say it, the receiver adds noise of that
level: the idea of AV1's film-grain synthesis, with white grain.
"""

from __future__ import annotations

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
    return min(round(float(_deviation(image[None])) / _STEP), LEVELS - 1)


def grey_levels(level: int) -> float:
    """Standard deviation in luma of a level, in grey levels of 255."""
    return 255 * _STEP * level


def add(image: Tensor, level: int, seed: int) -> Tensor:
    """Picture [3,H,W] in [0,1] with as much grain as it lacks to `level`; the same seed, the same grain."""
    if not level:
        return image
    noise = torch.randn(image.shape, generator=torch.Generator().manual_seed(seed))
    wanted = torch.tensor([grey_levels(level)])
    return added(image[None], wanted, noise[None])[0].clamp(0, 1)


def added(pictures: Tensor, wanted: Tensor, noise: Tensor) -> Tensor:
    """Pictures [B,3,H,W] in [0,1] with as much of the noise, of unit strength, as they lack to a level.

    Args:
        pictures: to be grained.
        wanted: [B] standard deviation in luma, in grey levels of 255.
        noise: [B,3,H,W].
    """
    missing = (wanted / 255) ** 2 - _deviation(pictures.detach()) ** 2
    return pictures + _COLOUR * missing.clamp_min(0).sqrt().view(-1, 1, 1, 1) * noise


def _deviation(pictures: Tensor) -> Tensor:
    """[B] standard deviations of the luma noise in the smoothest fifth of pictures [B,3,H,W]."""
    if min(pictures.shape[-2:]) < _BLOCK + 2:
        return pictures.new_zeros(len(pictures))
    luma = torch.einsum("c,bchw->bhw", pictures.new_tensor(_LUMA), pictures.float())[:, None]
    rough = F.conv2d(luma, pictures.new_tensor(_KERNEL)[None, None])
    # Sorting by hand: torch.quantile refuses the blocks of the largest pictures
    blocks = F.avg_pool2d(rough.square(), _BLOCK).flatten(1).sort(1).values
    return blocks[:, int(_SMOOTHEST * blocks.shape[1])].sqrt()
