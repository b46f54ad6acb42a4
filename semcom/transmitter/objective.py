"""What a search at the sender asks for: a loss to descend, and a score on finished pictures to choose by.

    balanced   LPIPS + 2.5·DISTS + ¼·L1     dists   DISTS     lpips   LPIPS     psnr   −PSNR

The gradient of a perceptual loss finds patterns that the loss likes and no eye does: hatching, a narrow peak
in the local spectrum where the original has none. `excess` measures such peaks; every loss is charged for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from semcom.metrics import dists, lpips
from semcom.networks.half import half_precision
from semcom.pretrained import PretrainedError

OBJECTIVES: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        "balanced": {"lpips": 1.0, "dists": 2.5, "l1": 0.25},
        "dists": {"lpips": 0.1, "dists": 4.0, "l1": 0.25},
        "lpips": {"lpips": 2.0, "dists": 0.25, "l1": 0.25},
        "psnr": {"psnr": 0.1},
    }
)
"""Weights of the terms by what the user asks for; a metric has a little of the others as a brake."""
BIT_PRICE = 6.0
"""Of a bit a pixel: what the HCI pays in LPIPS + 2.5·DISTS; the other weights keep to that scale."""
_EXCESS = 1.0
_WINDOW = 32  # pixels: a few periods of any hatching
_MARGIN = 1.25
_LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class Reference:
    """An original, or a tile of one, and what the networks see in it."""

    image: Tensor  # [1,3,H,W]
    lpips: Any
    dists: Any


class Objective:
    """See the module docstring.

    Args:
        name: one of `OBJECTIVES`.
        device: where the networks are.

    Raises:
        ValueError: the networks' weights are neither cached nor can they be fetched.
    """

    def __init__(self, name: str, device: str = "cpu") -> None:
        self.weights = OBJECTIVES[name]
        self._lpips = self._dists = None
        try:
            if "lpips" in self.weights:
                self._lpips = lpips.LPIPSNetwork().to(device).to(memory_format=torch.channels_last)
            if "dists" in self.weights:
                self._dists = dists.DISTSNetwork().to(device).to(memory_format=torch.channels_last)
        except PretrainedError as error:
            raise ValueError(
                f"efforts 1 and 2 with the objective {name} need the metrics' networks: {error}"
            ) from error

    @torch.no_grad()
    def reference(self, image: Tensor) -> Reference:
        """Of an original [1,3,H,W] in [0,1], sides of at least 32."""
        image = image.contiguous(memory_format=torch.channels_last)
        return Reference(
            image,
            None if self._lpips is None else self._lpips.features(image),
            None if self._dists is None else self._dists.features(image),
        )

    def loss(self, picture: Tensor, original: Reference) -> Tensor:
        """Scalar to descend, of a picture [1,3,H,W] that need not be clipped.

        In bfloat16 where that is fast: the gradient's direction stays (cosine 0.98). Not so for the enhancer,
        whose gradient in bfloat16 has a cosine of 0.6 with the one in float32: that network stays in float32.
        """
        with half_precision(picture.device.type):
            return self._sum(picture, original) + _EXCESS * excess(picture, original.image)

    @torch.no_grad()
    def score(self, picture: Tensor, original: Reference) -> float:
        """Of a finished picture [1,3,H,W] in [0,1]; lower is better."""
        return self._sum(picture, original).item() + _EXCESS * excess(picture, original.image).item()

    def _sum(self, picture: Tensor, original: Reference) -> Tensor:
        total = picture.new_zeros(())
        if self._lpips is not None:
            total = total + self.weights["lpips"] * self._lpips.compare(picture, original.lpips).mean()
        if self._dists is not None:
            total = total + self.weights["dists"] * self._dists.compare(picture, original.dists).mean()
        error = picture - original.image
        if "l1" in self.weights:
            total = total + self.weights["l1"] * error.abs().mean()
        if "psnr" in self.weights:
            total = total + self.weights["psnr"] * 10 * (error.square().mean() + 1e-9).log10()
        return total


def excess(picture: Tensor, original: Tensor) -> Tensor:
    """How far a picture's local spectra rise above the original's, of the original's mean magnitude; scalar.

    In windows of 32×32 pixels, against the strongest of each bin and its neighbours: texture may be another
    one of the same kind, a line in the spectrum that is not there in the original is counted.

    Args:
        picture: [B,3,H,W].
        original: the same shape.
    """
    mine, theirs = _spectra(picture), _spectra(original)
    allowed = F.max_pool2d(theirs[:, None], 3, stride=1, padding=1)[:, 0]
    return F.relu(mine - _MARGIN * allowed).mean() / (theirs.mean() + 1e-3)


def _spectra(image: Tensor) -> Tensor:
    """[N,32,17] magnitudes of windowed luma."""
    luma = torch.einsum("c,bchw->bhw", torch.tensor(_LUMA, device=image.device), image.float())
    windows = luma.unfold(1, _WINDOW, _WINDOW // 2).unfold(2, _WINDOW, _WINDOW // 2).flatten(0, 2)
    hann = torch.hann_window(_WINDOW, device=image.device)
    windows = (windows - windows.mean((1, 2), keepdim=True)) * hann[:, None] * hann
    return torch.fft.rfft2(windows).abs()
