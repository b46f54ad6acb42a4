"""DISTS: deep image structure and texture similarity (arXiv 2004.07728), official weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semcom import pretrained
from semcom.metrics.lpips import _VGG_POOL_BEFORE, _VGG_TAPS, _VGG_WIDTHS
from semcom.metrics.reference import LastReference
from semcom.metrics.registry import Metric

_CHANNELS = [3, 64, 128, 256, 512, 512]
_STABILITY = 1e-6


@dataclass(frozen=True)
class Features:
    """Activations of a layer without their means, and what is known of them per channel."""

    centred: Tensor
    """[B,C,h·w]"""
    mean: Tensor
    """[B,C]"""
    variance: Tensor
    """[B,C]"""


class DISTSNetwork(nn.Module):
    """VGG16 with L2 pooling, and the published texture and structure weights; differentiable."""

    mean: Tensor
    std: Tensor
    window: Tensor
    alpha: Tensor
    beta: Tensor

    def __init__(self) -> None:
        super().__init__()
        state, weights = pretrained.load("vgg16-lpips"), pretrained.load("dists")
        self.convs = nn.ModuleList()
        channels = 3
        for i, width in enumerate(_VGG_WIDTHS):
            conv = nn.Conv2d(channels, width, 3, padding=1)
            conv.load_state_dict({key: state[f"conv{i}.{key}"] for key in ("weight", "bias")})
            self.convs.append(conv)
            channels = width
        total = weights["alpha"].sum() + weights["beta"].sum()
        self.register_buffer("alpha", weights["alpha"] / total)
        self.register_buffer("beta", weights["beta"] / total)
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1))
        hann = torch.hann_window(5, periodic=False)[1:-1]
        window = hann[:, None] * hann[None, :]
        self.register_buffer("window", (window / window.sum())[None, None])
        self.requires_grad_(False).eval()

    def forward(self, preds: Tensor, target: Tensor) -> Tensor:
        """Distance per picture [B] of two batches [B,3,H,W] in [0,1]."""
        return self.compare(preds, self.features(target))

    def compare(self, preds: Tensor, target: Sequence[Features]) -> Tensor:
        """The same, where the target's `features` are known."""
        similarity = torch.zeros(preds.shape[0], device=preds.device)
        alphas, betas = self.alpha.split(_CHANNELS), self.beta.split(_CHANNELS)
        pairs = zip(self.features(preds), target, strict=True)
        for (x, y), alpha, beta in zip(pairs, alphas, betas, strict=True):
            texture, structure = _similarities(x, y)
            similarity = similarity + (alpha * texture + beta * structure).sum(1)
        return 1 - similarity

    def features(self, x: Tensor) -> list[Features]:
        """Of the picture and of the activations of the tapped layers, for `compare`."""
        taps = [_describe(x)]
        x = (x - self.mean) / self.std
        for i, conv in enumerate(self.convs):
            if i in _VGG_POOL_BEFORE:
                x = self._l2_pool(x)
            x = conv(x).relu_()
            if i in _VGG_TAPS:
                taps.append(_describe(x))
        return taps

    def _l2_pool(self, x: Tensor) -> Tensor:
        window = self.window.expand(x.shape[1], -1, -1, -1)
        return (F.conv2d(x**2, window, stride=2, padding=1, groups=x.shape[1]) + 1e-12).sqrt()


def _describe(x: Tensor) -> Features:
    flat = x.flatten(2).float()  # also under autocast: means of half-precision sums would drift
    mean = flat.mean(2)
    centred = flat - mean[..., None]
    return Features(centred, mean, _dot(centred, centred))


def _dot(x: Tensor, y: Tensor) -> Tensor:
    """Mean product per channel of two [B,C,N]."""
    return torch.linalg.vecdot(x, y) / x.shape[2]


def _similarities(x: Features, y: Features) -> tuple[Tensor, Tensor]:
    """Texture (means) and structure (covariance) similarity per channel, both [B,C]."""
    texture = (2 * x.mean * y.mean + _STABILITY) / (x.mean**2 + y.mean**2 + _STABILITY)
    covariance = _dot(x.centred, y.centred)
    structure = (2 * covariance + _STABILITY) / (x.variance + y.variance + _STABILITY)
    return texture, structure


@cache
def _network() -> DISTSNetwork:
    return DISTSNetwork().to(memory_format=torch.channels_last)


@cache
def _references() -> LastReference[list[Features]]:
    return LastReference(_network().features)


@torch.inference_mode()
def dists(preds: Tensor, target: Tensor) -> Tensor:
    """DISTS per picture, at full size (the official script's optional resize to 256 is not applied).

    Args:
        preds: [B,3,H,W] float in [0,1].
        target: the same shape.

    Returns:
        [B] float, 0 for identical pictures; lower is better.
    """
    return _network().compare(preds, _references()(target))


METRIC = Metric("dists", dists, False, "DISTS", range=(0.0, 1.0), default=True)
