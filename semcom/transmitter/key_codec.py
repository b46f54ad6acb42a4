"""Key encoder: what the picture holds in key regions and the HCI does not, as integer latents.

    x ────────┐ space-to-depth 8                      1/16 grid
    x − ↑HCI ─┴► 384 ─► [bottleneck × 2] ─► ↓2 ─► [bottleneck × 4] ─► 32 latents ─► round, ±7

The receiver's decoder reads the latents beside its own restored picture, so both are trained together
(stage `key_codec`).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semcom.models.blocks import Bottleneck
from semcom.models.key_bitstream import MAX_MAGNITUDE

_GAIN = 4.0  # starts latents several quantisation steps wide, so that rounding does not erase them


class KeyEncoder(nn.Module):
    """Latents of a picture given its decoded HCI.

    Args:
        channels: latents per 16×16 cell.
        width: features at 1/8 resolution; twice as many at 1/16.
    """

    def __init__(self, channels: int = 32, width: int = 128) -> None:
        super().__init__()
        self.stem = nn.Conv2d(2 * 3 * 64, width, 1)
        self.fine = nn.Sequential(*(Bottleneck(width) for _ in range(2)))
        self.down = nn.Conv2d(4 * width, 2 * width, 1)
        self.coarse = nn.Sequential(*(Bottleneck(2 * width) for _ in range(4)))
        self.latents = nn.Conv2d(2 * width, channels, 1)

    def forward(self, image: Tensor, hci: Tensor) -> Tensor:
        """Real-valued latents [B,C,H/16,W/16] of pictures [B,3,H,W] and their HCIs [B,3,H/4,W/4]."""
        coarse = F.interpolate(hci, scale_factor=4, mode="bicubic", align_corners=False)
        inputs = torch.cat((F.pixel_unshuffle(image, 8) - 0.5, 2 * F.pixel_unshuffle(image - coarse, 8)), 1)
        features = self.fine(self.stem(inputs))
        return _GAIN * self.latents(self.coarse(self.down(F.pixel_unshuffle(features, 2))))

    @torch.inference_mode()
    def quantised(self, image: Tensor, hci: Tensor) -> Tensor:
        """Integer latents [C,H/16,W/16] within ±7 of one picture [3,H,W] and its HCI [3,H/4,W/4]."""
        latents = self(image[None], hci[None])[0]
        return latents.round().clamp(-MAX_MAGNITUDE, MAX_MAGNITUDE).long()
