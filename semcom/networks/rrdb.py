"""The ×4 restoration trunk: residual-in-residual dense blocks (ESRGAN, arXiv 1809.00219).

    x ─ conv_first ─┬─ RRDB × n ─ conv_body ─(+)─ ↑2 conv_up1 ─ ↑2 conv_up2 ─ conv_hr ─(·)─ conv_last
                    └─────────────────────────┘         last planes of x ─── amplify ───┘

Layer names and constants follow Real-ESRGAN (arXiv 2107.10833), whose published weights start the
enhancer of profile `tiny`. `amplify` is ours: planes at the input's size (the texture's level) scale the last
features, so that the strength of fine detail can be told to the network directly.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SLOPE = 0.2
"""Of the leaky ReLUs."""
CHANNELS, GROWTH = 64, 32
"""Width of the features, and what each dense layer adds."""
RESIDUAL_SCALE = 0.2
"""Of what a block adds to its input."""
SCALE = 4
_AMPLIFY_GAIN = 8.0  # the optimiser's steps are small beside the factors that textures differ by


class DenseBlock(nn.Module):
    """Five densely connected 3×3 convolutions, scaled residual."""

    def __init__(self, channels: int, growth: int) -> None:
        super().__init__()
        widths = [channels + i * growth for i in range(5)]
        outs = [growth] * 4 + [channels]
        self.convs = nn.ModuleList(nn.Conv2d(w, o, 3, padding=1) for w, o in zip(widths, outs, strict=True))

    def forward(self, x: Tensor) -> Tensor:
        """[B,C,h,w] → [B,C,h,w]."""
        features = [x]
        for conv in self.convs[:-1]:
            features.append(F.leaky_relu(conv(torch.cat(features, 1)), SLOPE))
        return x + RESIDUAL_SCALE * self.convs[-1](torch.cat(features, 1))


class RRDB(nn.Module):
    """Three dense blocks in one scaled residual."""

    def __init__(self, channels: int, growth: int) -> None:
        super().__init__()
        self.dense = nn.Sequential(*(DenseBlock(channels, growth) for _ in range(3)))

    def forward(self, x: Tensor) -> Tensor:
        """[B,C,h,w] → [B,C,h,w]."""
        return x + RESIDUAL_SCALE * self.dense(x)


class NearestUpConv(nn.Module):
    """Nearest ×2 upsampling followed by a 3×3 convolution, computed at the low resolution.

    After nearest upsampling, the nine taps of each output phase fall on only four distinct input
    pixels, so each of the four phases is a 2×2 convolution whose taps are sums of the 3×3 taps:
    the same result with 4/9 of the multiplications.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        conv = nn.Conv2d(channels, channels, 3)
        self.weight, self.bias = conv.weight, conv.bias

    def forward(self, x: Tensor) -> Tensor:
        """[B,C,h,w] → [B,C,2h,2w]."""
        padded = F.pad(x, (1, 1, 1, 1))
        h, w = x.shape[-2:]
        phases = []
        for dy in (0, 1):
            for dx in (0, 1):
                taps = _fold(_fold(self.weight, 2, dy), 3, dx)
                window = padded[:, :, dy : dy + h + 1, dx : dx + w + 1]
                phases.append(F.conv2d(window, taps, self.bias))
        # pixel_shuffle wants channel-major phases: c·4 + 2·dy + dx.
        return F.pixel_shuffle(torch.stack(phases, 2).flatten(1, 2), 2)


def _fold(weight: Tensor, dim: int, phase: int) -> Tensor:
    """Three taps along `dim` become the two that the output phase sees: (a, b+c) or (a+b, c)."""
    a, b, c = weight.unbind(dim)
    return torch.stack((a, b + c) if phase == 0 else (a + b, c), dim)


class Amplify(nn.Module):
    """Features at full size, each multiplied by 1 plus what planes at a quarter of the size ask for.

    Args:
        planes: channels of the planes.
        channels: of the features.
    """

    def __init__(self, planes: int, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(planes, channels, 1, bias=False)
        nn.init.zeros_(self.conv.weight)

    def forward(self, x: Tensor, source: Tensor) -> Tensor:
        """[B,C,4h,4w], and [B,P or more,h,w] whose last channels are the planes → [B,C,4h,4w]."""
        factors = 1 + _AMPLIFY_GAIN * self.conv(source[:, -self.conv.in_channels :])
        blocks = x.unflatten(3, (-1, SCALE)).unflatten(2, (-1, SCALE))
        return (blocks * factors[:, :, :, None, :, None]).flatten(4, 5).flatten(2, 3)


class RRDBNet(nn.Module):
    """RGB in [0,1] at quarter size to RGB at full size (not clipped).

    Args:
        num_blocks: RRDBs in the trunk; the published network has 23.
        in_channels: 3, or more when planes (the coding quality) come with the picture.
        amplifiers: how many of the last input channels scale the last features.
        channels: feature width.
        growth: width each dense layer adds.
    """

    def __init__(
        self,
        num_blocks: int = 12,
        in_channels: int = 3,
        amplifiers: int = 0,
        channels: int = CHANNELS,
        growth: int = GROWTH,
    ) -> None:
        super().__init__()
        self.conv_first = nn.Conv2d(in_channels, channels, 3, padding=1)
        self.body = nn.Sequential(*(RRDB(channels, growth) for _ in range(num_blocks)))
        self.conv_body = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv_up1 = NearestUpConv(channels)
        self.conv_up2 = NearestUpConv(channels)
        self.conv_hr = nn.Conv2d(channels, channels, 3, padding=1)
        self.amplify = Amplify(amplifiers, channels) if amplifiers else None
        self.conv_last = nn.Conv2d(channels, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """[B,in_channels,h,w] → [B,3,4h,4w]."""
        shallow = self.conv_first(x)
        deep = shallow + self.conv_body(self.body(shallow))
        y = F.leaky_relu(self.conv_up1(deep), SLOPE)
        y = F.leaky_relu(self.conv_up2(y), SLOPE)
        y = F.leaky_relu(self.conv_hr(y), SLOPE)
        return self.conv_last(y if self.amplify is None else self.amplify(y, x))

    def convolution_shapes(self) -> list[tuple[str, tuple[int, ...]]]:
        """(layer name, weight shape) in network order: the order of the published file."""
        return [
            (name.removesuffix(".weight"), tuple(parameter.shape))
            for name, parameter in self.named_parameters()
            if name.endswith(".weight")
        ]


def prune_blocks(state: dict[str, Tensor], keep: list[int]) -> dict[str, Tensor]:
    """State of the trunk that keeps only the RRDBs `keep`, renumbered from 0."""
    renumber = {str(old): str(new) for new, old in enumerate(keep)}
    pruned = {}
    for name, value in state.items():
        parts = name.split(".")
        if parts[0] != "body":
            pruned[name] = value
        elif parts[1] in renumber:
            pruned[".".join(["body", renumber[parts[1]], *parts[2:]])] = value
    return pruned
