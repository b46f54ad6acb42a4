"""U²-Net-p, the small salient-object network (arXiv 2005.09007), with batch norms folded; inference only.

A U-shaped network whose every stage is itself a small U. Six side outputs, one per scale, are fused into
the saliency map.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

INPUT_SIZE = 256  # trained at 320; a third cheaper, and F-beta on ECSSD is the same within its interval
_WIDTH, _INNER = 64, 16
_MEAN = (0.485, 0.456, 0.406)
_STD = (0.229, 0.224, 0.225)


class ResidualU(nn.Module):
    """One stage: a residual U over the scales of its input.

    Args:
        channels: of the input.
        dilations: of the encoder convolutions. A convolution of dilation 1 works one scale below the one
            before it; the others stay at their scale.
        pooled: False for the deepest stages, which never change scale.
    """

    def __init__(self, channels: int, dilations: tuple[int, ...], pooled: bool) -> None:
        super().__init__()
        self._pooled = pooled
        self.inward = _conv(channels, _WIDTH)
        widths = [_WIDTH] + [_INNER] * (len(dilations) - 1)
        self.down = nn.ModuleList(_conv(w, _INNER, d) for w, d in zip(widths, dilations, strict=True))
        outward = [_INNER] * (len(dilations) - 2) + [_WIDTH]
        self.up = nn.ModuleList(
            _conv(2 * _INNER, w, d) for w, d in zip(outward, dilations[-2::-1], strict=True)
        )

    def forward(self, x: Tensor) -> Tensor:
        """[B,channels,h,w] to [B,64,h,w]."""
        inward = x = F.relu(self.inward(x))
        scales = []
        for i, conv in enumerate(self.down):
            last = i == len(self.down) - 1
            x = F.relu(conv(_halve(x) if self._pooled and i and not last else x))
            scales.append(x)
        x = scales.pop()
        for conv in self.up:
            skip = scales.pop()
            x = F.relu(conv(torch.cat((_resize_like(x, skip), skip), 1)))
        return x + inward


class U2NetP(nn.Module):
    """Saliency of a normalised picture; `saliency` is the convenient way in."""

    def __init__(self) -> None:
        super().__init__()
        deep = ((1, 2, 4, 8), False)
        shapes = [((*[1] * (levels - 1), 2), True) for levels in (7, 6, 5, 4)] + [deep, deep]
        self.encoder = nn.ModuleList(ResidualU(_WIDTH if i else 3, *shape) for i, shape in enumerate(shapes))
        self.decoder = nn.ModuleList(ResidualU(2 * _WIDTH, *shape) for shape in shapes[-2::-1])
        self.side = nn.ModuleList(nn.Conv2d(_WIDTH, 1, 3, padding=1) for _ in shapes)
        self.fuse = nn.Conv2d(len(shapes), 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Logits [B,1,h,w] of pictures [B,3,h,w] with ImageNet mean and deviation removed."""
        scales = []
        for i, stage in enumerate(self.encoder):
            x = stage(_halve(x) if i else x)
            scales.append(x)
        outputs = [scales.pop()]
        for stage in self.decoder:
            skip = scales.pop()
            outputs.append(stage(torch.cat((_resize_like(outputs[-1], skip), skip), 1)))
        outputs.reverse()
        sides = [conv(y) for conv, y in zip(self.side, outputs, strict=True)]
        return self.fuse(torch.cat([_resize_like(side, sides[0]) for side in sides], 1))

    @torch.inference_mode()
    def saliency(self, image: Tensor) -> Tensor:
        """Probability that a pixel belongs to the salient object.

        Args:
            image: [3,H,W] float in [0,1].

        Returns:
            [H,W] float in [0,1], smooth: it is computed at 256×256.
        """
        side = (INPUT_SIZE, INPUT_SIZE)
        x = F.interpolate(image[None], side, mode="bilinear", antialias=True, align_corners=False)
        x = (x / x.max().clamp(min=1e-6) - x.new_tensor(_MEAN).view(3, 1, 1)) / x.new_tensor(_STD).view(
            3, 1, 1
        )
        probability = torch.sigmoid(self(x.contiguous(memory_format=torch.channels_last)))
        return F.interpolate(probability, image.shape[1:], mode="bilinear", align_corners=False)[0, 0]


def _conv(channels: int, width: int, dilation: int = 1) -> nn.Conv2d:
    return nn.Conv2d(channels, width, 3, padding=dilation, dilation=dilation)


def _halve(x: Tensor) -> Tensor:
    return F.max_pool2d(x, 2, 2, ceil_mode=True)


def _resize_like(x: Tensor, other: Tensor) -> Tensor:
    return F.interpolate(x, other.shape[2:], mode="bilinear", align_corners=False)
