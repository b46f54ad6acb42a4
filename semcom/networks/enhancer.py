"""Enhancer: `x0 = R(T)`, the first full-size picture, restored from the quarter-size HCI alone.

R is the ×4 restoration trunk of `semcom.networks.rrdb`, started from Real-ESRGAN's weights, pruned to
every other block and fine-tuned on AV1-coded thumbnails by the stage `enhancer`. More input planes say what
it may lean on: the coding quality, which the header carries anyway, where key latents have refined the HCI,
and how much fine detail there is (`semcom.picture.texture`).
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semcom.networks.key_transform import PLANES as KEY_PLANES
from semcom.networks.rrdb import SCALE, RRDBNet
from semcom.picture.texture import PLANES as TEXTURE_PLANES

_ALWAYS_THERE = 3 + 1 + 1  # colours, quality, where key latents arrived
_MARGIN = 8  # HCI pixels of context around a tile
_RIM = 2  # reflected around the picture: hides the zero padding of the convolutions
_TILE = 192  # HCI pixels: a 768×512 picture in one piece; bounds memory at any size


class Enhancer(nn.Module):
    """Restores a decoded HCI to full size.

    Args:
        num_blocks: residual-in-residual dense blocks of the trunk.
    """

    def __init__(self, num_blocks: int = 12) -> None:
        super().__init__()
        told = KEY_PLANES + TEXTURE_PLANES
        self.trunk = RRDBNet(num_blocks, in_channels=_ALWAYS_THERE + told, amplifiers=told)

    def forward(self, hci: Tensor, quality: Tensor, detail: Tensor, texture: Tensor) -> Tensor:
        """One tile or crop.

        Args:
            hci: [B,3,h,w] in [0,1].
            quality: [B] AV1 quality, 0–63.
            detail: [B,9,h,w] 1 where key latents arrived and are already added to `hci`, else 0; and what
                more they say.
            texture: [B,3,h,w] planes of the texture, zero where it is unknown.

        Returns:
            [B,3,4h,4w], not clipped.
        """
        plane = (quality / 63).to(hci.dtype).view(-1, 1, 1, 1).expand(-1, 1, *hci.shape[-2:])
        planes = torch.cat((hci, plane, detail, texture), 1)
        precision = self.trunk.conv_first.weight.dtype
        return self.trunk(planes.to(precision, memory_format=torch.channels_last)).float()

    @torch.inference_mode()
    def restore(self, hci: Tensor, quality: int, detail: Tensor, texture: Tensor) -> Tensor:
        """Whole picture, tile by tile with overlapping context.

        Args:
            hci: [3,h,w] in [0,1], with the key latents added.
            quality: AV1 quality, 0–63.
            detail: [9,h,w] as above.
            texture: [3,h,w] planes of the texture, zero where it is unknown.

        Returns:
            [3,4h,4w] in [0,1].
        """
        height, width = hci.shape[-2:]
        level = hci.new_full((1,), float(quality))
        padded = pad_reflect(torch.cat((hci, detail, texture))[None], _RIM)
        out = hci.new_empty(3, SCALE * height, SCALE * width)
        for y, x in _tiles(height, width):
            h, w = min(_TILE, height - y), min(_TILE, width - x)
            top, left = max(0, y + _RIM - _MARGIN), max(0, x + _RIM - _MARGIN)
            window = padded[:, :, top : y + _RIM + h + _MARGIN, left : x + _RIM + w + _MARGIN]
            parts = window.split((3, 1 + KEY_PLANES, TEXTURE_PLANES), 1)
            tile = self(parts[0], level, *parts[1:])[0]
            dy, dx = SCALE * (y + _RIM - top), SCALE * (x + _RIM - left)
            core = tile[:, dy : dy + SCALE * h, dx : dx + SCALE * w]
            out[:, SCALE * y : SCALE * (y + h), SCALE * x : SCALE * (x + w)] = core
        return out.clamp_(0, 1)


def pad_reflect(x: Tensor, margin: int) -> Tensor:
    """Reflects [B,C,h,w] by `margin` on every side, also when a side is shorter than the margin."""
    while margin > 0:
        step = min(margin, min(x.shape[-2:]) - 1)
        if step < 1:
            return F.pad(x, (margin,) * 4, mode="replicate")
        x, margin = F.pad(x, (step,) * 4, mode="reflect"), margin - step
    return x


def _tiles(height: int, width: int) -> Iterator[tuple[int, int]]:
    for y in range(0, height, _TILE):
        for x in range(0, width, _TILE):
            yield y, x
