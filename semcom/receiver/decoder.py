"""One-step residual decoder: the restored picture, corrected by the key latents that arrived.

    x0 ─► space-to-depth 8 ─┐
    latents, key map, holes ┴► [bottleneck × 8] ─► ↑2 ─► ↑2 ─► ↑2 ─► residual ─(+ x0)─► picture

Works at 1/8 resolution in pixel space; the picture grows back through convolutions at 1/4 and 1/2, so
that no 8×8 grid shows. Starts at zero residual: never worse than the enhancer before training.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semcom.models.blocks import Bottleneck

_TILE = 512  # pixels
_MARGIN = 64  # pixels of context around a tile, whole key cells


class ResidualDecoder(nn.Module):
    """Residual of the restored picture.

    Args:
        channels: latents per 16×16 cell.
        width: features at 1/8 resolution.
        num_blocks: bottleneck blocks.
    """

    def __init__(self, channels: int = 32, width: int = 192, num_blocks: int = 8) -> None:
        super().__init__()
        self.picture = nn.Conv2d(3 * 64, width, 1)
        self.control = nn.Conv2d(channels + 2, 4 * width, 3, padding=1)
        self.blocks = nn.Sequential(*(Bottleneck(width) for _ in range(num_blocks)))
        self.at_quarter = nn.Conv2d(width // 4, 64, 3, padding=1)
        self.at_half = nn.Conv2d(16, 32, 3, padding=1)
        self.rgb = nn.Conv2d(32, 12, 3, padding=1)
        nn.init.zeros_(self.rgb.weight)
        assert self.rgb.bias is not None
        nn.init.zeros_(self.rgb.bias)

    def forward(self, x0: Tensor, latents: Tensor, key_map: Tensor, arrived: Tensor) -> Tensor:
        """Corrected pictures.

        Args:
            x0: [B,3,H,W] restored pictures, H and W multiples of 16.
            latents: [B,C,H/16,W/16], zero where nothing arrived.
            key_map: [B,1,H/16,W/16] 1 in key cells.
            arrived: [B,1,H/16,W/16] 1 where latents arrived.

        Returns:
            [B,3,H,W], not clipped.
        """
        guide = F.pixel_shuffle(self.control(torch.cat((latents / 4, key_map, arrived), 1)), 2)
        features = self.blocks(self.picture(F.pixel_unshuffle(x0, 8) - 0.5) + guide)
        y = F.silu(self.at_quarter(F.pixel_shuffle(features, 2)))
        y = F.silu(self.at_half(F.pixel_shuffle(y, 2)))
        return x0 + F.pixel_shuffle(self.rgb(y), 2)

    @torch.inference_mode()
    def correct(self, x0: Tensor, latents: Tensor, key_map: Tensor, arrived: Tensor) -> Tensor:
        """One picture [3,H,W] of any size, tile by tile; the other arguments without batch axis."""
        height, width = x0.shape[-2:]
        out = torch.empty_like(x0)
        for y in range(0, height, _TILE):
            for x in range(0, width, _TILE):
                top, left = max(0, y - _MARGIN), max(0, x - _MARGIN)
                bottom, right = min(height, y + _TILE + _MARGIN), min(width, x + _TILE + _MARGIN)
                cells = (slice(None), slice(top // 16, bottom // 16), slice(left // 16, right // 16))
                tile = self(
                    x0[None, :, top:bottom, left:right],
                    latents[cells][None],
                    key_map[cells][None],
                    arrived[cells][None],
                )[0]
                core = tile[:, y - top : y - top + _TILE, x - left : x - left + _TILE]
                out[:, y : y + _TILE, x : x + _TILE] = core
        return out.clamp_(0, 1)
