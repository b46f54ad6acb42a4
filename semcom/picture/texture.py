"""Texture: how much fine detail there is where, which the HCI cannot tell.

A quarter-size picture looks the same whether a lawn was in focus or not. The transmitter measures the two
octaves that the HCI lacks, the receiver expects a level from the HCI it has, and the difference travels: what
spectral band replication does for sound (ISO/IEC 14496-3, 4.6.18), for the detail of a photograph.

    picture ─ octaves above the HCI ─ log2 RMS per 32×32 pixels ─(−)─ rounded ─► surprise ─► stream `texture`
    HCI ─ gradients ─ expected level ───────────────────────────────┘
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from semcom.picture.grid import CELL, HCI_SCALE

BLOCK = 2 * CELL
MAX_SURPRISE = 4
"""Octaves."""
PLANES = 3
"""Of what `planes` makes: level, how much of it was sent, and whether it is known."""
_LUMA = (0.299, 0.587, 0.114)
_FLOOR = 0.25  # grey levels squared: below half a level nothing is seen
_NOISE_IN_OCTAVE = 0.815  # share of the power of white noise that is above half its band
_MIDDLE_LEVEL = 3.0  # of photographs
_EXPECTATION = (0.5765, 0.2334, -0.8668, 0.181)
"""What the enhancer was trained to hear of; the stage `texture` fits it, into its card."""


@dataclass(frozen=True)
class Texture:
    """What is known of the texture of pictures, per key cell.

    Attributes:
        level: [B,rows,columns] log2 of the RMS detail in grey levels of 255.
        surprise: [B,rows,columns] how much of that was sent, in octaves: the rest the HCI lets expect.
    """

    level: Tensor
    surprise: Tensor


def measure(image: Tensor, block: int, noise: float | Tensor = 0.0) -> Tensor:
    """Levels of pictures [B,3,H,W] in [0,1], sides multiples of 16: [B,⌈H/block⌉,⌈W/block⌉].

    The mean, over the two octaves above a quarter of the picture, of log2 of the RMS in grey levels of 255.

    Args:
        image: pictures.
        block: side in pixels, a multiple of 4.
        noise: standard deviation of white noise in luma, in grey levels, that is not counted as texture;
            [B,1,1] where it differs.
    """
    luma = _luma(image)
    half = F.avg_pool2d(luma, 2)
    quarter = F.avg_pool2d(half, 2)
    upper = _level(luma, half, block, noise)
    return (upper + _level(half, quarter, block // 2, noise / 2)) / 2  # means of four have half the noise


def expected(hci: Tensor, quality: Tensor) -> Tensor:
    """Levels per 32×32 pixels that HCIs let expect, [B,⌈h/8⌉,⌈w/8⌉].

    A linear function, learned from photographs, of the block's activity, its neighbourhood's and the quality.

    Args:
        hci: [B,3,h,w] in [0,1], decoded, without key latents.
        quality: [B] AV1 quality, 0–63.
    """
    own, around = activities(hci)
    own_weight, around_weight, quality_weight, constant = _EXPECTATION
    steady = quality_weight * (quality / 63).view(-1, 1, 1) + constant
    return own_weight * own + around_weight * around + steady


def activities(hci: Tensor) -> tuple[Tensor, Tensor]:
    """log2 of the RMS gradient in grey levels of HCIs [B,3,h,w], per block and around it: [B,⌈h/8⌉,⌈w/8⌉]."""
    luma = F.pad(_luma(hci), (0, 1, 0, 1), mode="replicate")
    across = luma[..., :-1, 1:] - luma[..., :-1, :-1]
    down = luma[..., 1:, :-1] - luma[..., :-1, :-1]
    own = _log_rms(across.square() + down.square(), BLOCK // HCI_SCALE)
    return own, F.avg_pool2d(own[:, None], 3, stride=1, padding=1, count_include_pad=False)[:, 0]


def rounded(octaves: Tensor) -> Tensor:
    """Whole octaves within ±4, as floats."""
    return octaves.round().clamp(-MAX_SURPRISE, MAX_SURPRISE)


def known(expectation: Tensor, surprise: Tensor, grid: tuple[int, int]) -> Texture:
    """Texture on the key grid from what is expected and what was sent, both [B,rows,columns] of blocks."""
    maps = torch.stack((expectation + surprise, surprise), 1)
    rows, columns = maps.shape[-2:]
    cells = F.interpolate(maps, (2 * rows, 2 * columns), mode="bilinear", align_corners=False)
    level, sent = cells[..., : grid[0], : grid[1]].unbind(1)
    return Texture(level, sent)


def planes(texture: Texture) -> Tensor:
    """[B,3,h,w] for the enhancer, as large as the HCI; all zero would stand for unknown."""
    level = texture.level - _MIDDLE_LEVEL
    maps = torch.stack((level, texture.surprise, torch.ones_like(level)), 1)
    return F.interpolate(maps, scale_factor=CELL // HCI_SCALE, mode="bilinear", align_corners=False)


def _luma(image: Tensor) -> Tensor:
    """[B,1,H,W] in grey levels of 255."""
    weights = 255 * torch.tensor(_LUMA, dtype=image.dtype, device=image.device)
    return torch.einsum("c,bchw->bhw", weights, image)[:, None]


def _level(fine: Tensor, coarse: Tensor, block: int, noise: float | Tensor) -> Tensor:
    octave = fine - F.interpolate(coarse, fine.shape[-2:], mode="bilinear", align_corners=False)
    return _log_rms(octave.square(), block, _NOISE_IN_OCTAVE * noise**2)


def _log_rms(squares: Tensor, block: int, without: float | Tensor = 0.0) -> Tensor:
    """log2 of the root of block means of [B,1,h,w], less a power; blocks at the border are smaller."""
    means = F.avg_pool2d(squares, block, ceil_mode=True, count_include_pad=False)[:, 0]
    return ((means - without).clamp_min(0) + _FLOOR).log2() / 2
