"""LPIPS: learned perceptual image patch similarity, version 0.1 (arXiv 1801.03924), official weights."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semcom import pretrained
from semcom.metrics.reference import LastReference
from semcom.metrics.registry import Metric

Backbone = Literal["alex", "vgg"]

# (channels, kernel, stride, padding, max-pool before); taps after these convolutions (0-based).
_ALEX = [(64, 11, 4, 2, 0), (192, 5, 1, 2, 3), (384, 3, 1, 1, 3), (256, 3, 1, 1, 0), (256, 3, 1, 1, 0)]
_ALEX_TAPS = (0, 1, 2, 3, 4)
_VGG_POOL_BEFORE = {2, 4, 7, 10}
_VGG_WIDTHS = [64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512]
_VGG = [(w, 3, 1, 1, 2 if i in _VGG_POOL_BEFORE else 0) for i, w in enumerate(_VGG_WIDTHS)]
_VGG_TAPS = (1, 3, 6, 9, 12)


class LPIPSNetwork(nn.Module):
    """Frozen backbone and linear heads; differentiable in both pictures, so also a training loss."""

    shift: Tensor
    scale: Tensor

    def __init__(self, backbone: Backbone = "alex") -> None:
        super().__init__()
        layers, self._taps = (_ALEX, _ALEX_TAPS) if backbone == "alex" else (_VGG, _VGG_TAPS)
        state = pretrained.load("alexnet-lpips" if backbone == "alex" else "vgg16-lpips")
        self._pools = [layer[4] for layer in layers]
        self.convs = nn.ModuleList()
        channels = 3
        for i, (width, kernel, stride, padding, _) in enumerate(layers):
            conv = nn.Conv2d(channels, width, kernel, stride, padding)
            conv.load_state_dict({key: state[f"conv{i}.{key}"] for key in ("weight", "bias")})
            self.convs.append(conv)
            channels = width
        self.lins = nn.ParameterList([state[f"lin{i}.weight"] for i in range(len(self._taps))])
        self.register_buffer("shift", torch.tensor([-0.030, -0.088, -0.188]).view(1, 3, 1, 1))
        self.register_buffer("scale", torch.tensor([0.458, 0.448, 0.450]).view(1, 3, 1, 1))
        self.requires_grad_(False).eval()

    def forward(self, preds: Tensor, target: Tensor, weights: Tensor | None = None) -> Tensor:
        """Distance per picture [B] of two batches [B,3,H,W] in [0,1].

        With `weights` [B,1,H,W], at least 0, the mean over places is weighted by them, averaged down to the
        size of each layer.
        """
        return self.compare(preds, self.features(target), weights)

    def compare(self, preds: Tensor, target: Sequence[Tensor], weights: Tensor | None = None) -> Tensor:
        """The same, where the target's `features` are known."""
        total = torch.zeros(preds.shape[0], device=preds.device)
        for lin, a, b in zip(self.lins, self.features(preds), target, strict=True):
            distance = F.conv2d((_unit(a) - _unit(b)) ** 2, lin)
            if weights is None:
                total = total + distance.mean((1, 2, 3))
            else:
                share = F.adaptive_avg_pool2d(weights, (distance.shape[2], distance.shape[3]))
                total = total + (distance * share).sum((1, 2, 3)) / share.sum((1, 2, 3))
        return total

    def features(self, x: Tensor) -> list[Tensor]:
        """Activations of the tapped layers, for `compare`."""
        x = (2 * x - 1 - self.shift) / self.scale
        taps = []
        for i, (conv, pool) in enumerate(zip(self.convs, self._pools, strict=True)):
            if pool:
                x = F.max_pool2d(x, pool, 2)
            x = F.relu(conv(x))
            if i in self._taps:
                taps.append(x)
        return taps


def _unit(x: Tensor) -> Tensor:
    return x / (x.pow(2).sum(1, keepdim=True).sqrt() + 1e-10)


@cache
def network(backbone: Backbone = "alex") -> LPIPSNetwork:
    """The network, loaded once."""
    return LPIPSNetwork(backbone)


@cache
def _references(backbone: Backbone) -> LastReference[list[Tensor]]:
    return LastReference(network(backbone).features)


@torch.inference_mode()
def lpips(preds: Tensor, target: Tensor, backbone: Backbone = "alex") -> Tensor:
    """LPIPS per picture.

    Args:
        preds: [B,3,H,W] float in [0,1], at least 32×32.
        target: the same shape.
        backbone: `alex` (what papers report unless they say otherwise) or `vgg`.

    Returns:
        [B] float, 0 for identical pictures; lower is better.
    """
    return network(backbone).compare(preds, _references(backbone)(target))


METRIC = Metric("lpips", lpips, False, "LPIPS (Alex)", range=(0.0, None), default=True)
