"""DeepJSCC: a picture as real values that cross the channel uncoded, and back (Bourtsoulatze et al., 2019).

    picture ─┬─ 16×16 transform ─(+)─► latents, most important channel first ─► as many as the budget buys
             └─ residual network ─┘
    what arrived, how uncertain each value is ─┬─ inverse transform ─(+)─► picture
                                               └─ residual network ──┘

A value that was not sent is one of which nothing is known: error variance 1. So one network serves every
bandwidth, every SNR and fading, which makes some values less certain than others.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semcom.networks.blocks import Bottleneck

STRIDE = 16
CHANNELS = 16
_GOLDEN_RATIO = (5**0.5 - 1) / 2
_SMALLEST_VARIANCE = 1e-3  # 30 dB: beyond that nothing changes


class JointEncoder(nn.Module):
    """Pictures to latents; only their ratios matter, power is normalised over what is sent."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.transform = nn.Conv2d(3, CHANNELS, STRIDE, STRIDE)
        half = width // 2
        self.network = nn.Sequential(
            nn.PixelUnshuffle(8),
            nn.Conv2d(192, half, 1),
            Bottleneck(half),
            Bottleneck(half),
            nn.PixelUnshuffle(2),
            nn.Conv2d(4 * half, width, 1),
            *(Bottleneck(width) for _ in range(4)),
            nn.SiLU(),
            nn.Conv2d(width, CHANNELS, 1),
        )
        _zero(self.network[-1])

    def forward(self, pictures: Tensor) -> Tensor:
        """[B,3,H,W] in [0,1], sides multiples of 16, to [B,16,H/16,W/16]."""
        centred = pictures - 0.5
        latents: Tensor = self.transform(centred) + self.network(centred)
        return latents


class JointDecoder(nn.Module):
    """Values and their error variances to pictures."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.transform = nn.ConvTranspose2d(CHANNELS, 3, STRIDE, STRIDE)
        half, quarter = width // 2, width // 4
        self.network = nn.Sequential(
            nn.Conv2d(2 * CHANNELS, width, 3, padding=1),
            *(Bottleneck(width) for _ in range(6)),
            nn.Conv2d(width, 4 * half, 1),
            nn.PixelShuffle(2),
            *(Bottleneck(half) for _ in range(4)),
            nn.Conv2d(half, 4 * quarter, 1),
            nn.PixelShuffle(2),
            nn.SiLU(),
            nn.Conv2d(quarter, quarter, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(quarter, 48, 3, padding=1),
            nn.PixelShuffle(4),
        )
        _zero(self.network[-2])

    def forward(self, values: Tensor, error_variance: Tensor) -> Tensor:
        """Two tensors [B,16,h,w] to [B,3,16h,16w], not clipped."""
        certainty = -error_variance.clamp(_SMALLEST_VARIANCE, 1).log() / 4
        residual = self.network(torch.cat((values, certainty), 1))
        pictures: Tensor = 0.5 + self.transform(values) + residual
        return pictures


class DeepJSCC(nn.Module):
    """Both ends, which are trained as one.

    Args:
        width: channels of the residual networks at a sixteenth of the size.
    """

    def __init__(self, width: int = 192) -> None:
        super().__init__()
        self.encoder, self.decoder = JointEncoder(width), JointDecoder(width)

    def send(self, pictures: Tensor) -> Tensor:
        """[B,3,H,W] of any size to values [B,16·h·w] in the order in which they are sent."""
        height, width = pictures.shape[-2:]
        padding = (0, -width % STRIDE, 0, -height % STRIDE)
        latents = self.encoder(F.pad(pictures, padding, mode="replicate"))
        return latents.flatten(2)[..., spread(latents.shape[-2] * latents.shape[-1])].flatten(1)

    def receive(self, values: Tensor, error_variance: Tensor, height: int, width: int) -> Tensor:
        """The first values [B,n] that were sent and their error variances to [B,3,height,width].

        Values are in units of unit mean energy, variances therefore below 1.
        """
        rows, columns = -(-height // STRIDE), -(-width // STRIDE)
        missing = CHANNELS * rows * columns - values.shape[1]
        order = torch.argsort(spread(rows * columns))
        planes = [
            F.pad(sent, (0, missing), value=unknown)
            .unflatten(1, (CHANNELS, rows * columns))[..., order]
            .unflatten(-1, (rows, columns))
            for sent, unknown in ((values, 0.0), (error_variance, 1.0))
        ]
        pictures: Tensor = self.decoder(*planes)
        return pictures[..., :height, :width]


def num_values(height: int, width: int) -> int:
    """Values of a whole picture: what the largest useful budget sends."""
    return CHANNELS * -(-height // STRIDE) * -(-width // STRIDE)


def normalise(values: Tensor) -> Tensor:
    """[B,n] scaled to a mean square of one: the power constraint."""
    return values / values.square().mean(1, keepdim=True).sqrt().clamp_min(1e-8)


def spread(count: int) -> Tensor:
    """Order in which a channel's cells are sent: any beginning of it covers the whole picture."""
    return torch.argsort((torch.arange(count, dtype=torch.float64) * _GOLDEN_RATIO) % 1.0)


def _zero(layer: nn.Module) -> None:
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
