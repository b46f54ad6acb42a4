"""A projected adversary (arXiv 2111.01007): small heads on a frozen network's features tell real from made.

    picture ─► frozen ImageNet backbone ─► maps at 1/4, 1/8, 1/16 ─┐
    what the maker started from (x0), reduced ─────────────────────┴─► one head a scale ─► logits a place

The heads see the picture through features that are learned already, so that a few thousand samples are
enough; x0 tells them what the colours should be: a picture of other colours is a forgery, however sharp.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from semcom.networks.efficientnet import FEATURE_CHANNELS, EfficientNetLite0

_SCALES = 3  # of the backbone's four
_WIDTH = 64
_SLOPE = 0.2
_HEADS_ALONE, _FULL_STRENGTH = 0.05, 0.3  # of the run
_FEATURE_STRENGTH = 8.0  # standard deviation of the maps on photographs: 7 to 9.5


class ProjectedHeads(nn.Module):
    """The trainable half of the adversary: one small convolutional head a scale."""

    def __init__(self) -> None:
        super().__init__()
        self.heads = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(channels, _WIDTH, 1),
                nn.LeakyReLU(_SLOPE),
                nn.Conv2d(_WIDTH, _WIDTH, 3, padding=1),
                nn.LeakyReLU(_SLOPE),
                nn.Conv2d(_WIDTH, 1, 1),
            )
            for channels in (width + 3 for width in FEATURE_CHANNELS[:_SCALES])
        )

    def forward(self, maps: Sequence[Tensor], x0: Tensor) -> list[Tensor]:
        """Logits [B,1,h,w] a scale, high for real, of pictures' feature maps [B,C,h,w] and their x0."""
        reduced = [2 * F.interpolate(x0, x.shape[-2:], mode="area") - 1 for x in maps]
        return [
            head(torch.cat((x / _FEATURE_STRENGTH, colours), 1))
            for head, x, colours in zip(self.heads, maps, reduced, strict=True)
        ]


def strength(progress: float) -> float:
    """Of the adversary, 0 to 1, at a share of the run: it grows once its heads can judge."""
    return min(max((progress - _HEADS_ALONE) / (_FULL_STRENGTH - _HEADS_ALONE), 0.0), 1.0)


class Adversary:
    """Hinge losses of both sides in one pass (arXiv 1705.02894).

    Args:
        backbone: frozen, pretrained on ImageNet.
        heads: trained by `judge`, left alone by `fool`.
    """

    def __init__(self, backbone: EfficientNetLite0, heads: ProjectedHeads) -> None:
        self.backbone, self.heads = backbone, heads

    def losses(self, output: Tensor, target: Tensor, x0: Tensor) -> tuple[Tensor, Tensor]:
        """What the maker and what the heads minimise, of pictures [B,3,H,W]: ([B], scalar).

        The gradient of the first reaches `output` alone, that of the second the heads alone.
        """
        made = self._maps(output)
        with torch.no_grad():
            real = self._maps(target)
        fixed = {name: value.detach() for name, value in self.heads.named_parameters()}
        fooled = functional_call(self.heads, fixed, (made, x0))
        maker = torch.stack([-logits.mean((1, 2, 3)) for logits in fooled]).mean(0)
        judged = zip(self.heads(real, x0), self.heads([x.detach() for x in made], x0), strict=True)
        heads = [F.relu(1 - high).mean() + F.relu(1 + low).mean() for high, low in judged]
        return maker, torch.stack(heads).mean()

    def _maps(self, picture: Tensor) -> list[Tensor]:
        return list(self.backbone.features(picture)[:_SCALES])
