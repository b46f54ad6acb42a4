"""Metrics as `torchmetrics` classes: means over pictures that add up over batches, processes and machines.

Apart from the functions, because importing torchmetrics takes seconds and sending a photo needs none of it.

    metric = LPIPS()
    for preds, target in batches:
        metric.update(preds, target)
    metric.compute()
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from semcom.metrics import regions
from semcom.metrics.caption_similarity import caption_similarity
from semcom.metrics.dists import dists
from semcom.metrics.lpips import Backbone, lpips
from semcom.metrics.ms_ssim import ms_ssim
from semcom.metrics.psnr import psnr
from semcom.metrics.ssim import ssim


class MeanOverPictures(Metric):
    """Mean of a function's values, one per picture; NaN, which is "no such region here", does not count.

    Args:
        function: from what `update` gets to [B].
    """

    full_state_update = False
    is_differentiable = False
    total: Tensor
    pictures: Tensor

    def __init__(self, function: Callable[..., Tensor]) -> None:
        super().__init__()
        self._function = function
        self.add_state("total", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("pictures", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, *batch: Any) -> None:
        """Adds pictures: preds and target [B,3,H,W] float in [0,1], and what else the function takes."""
        values = self._function(*batch).double()
        known = ~values.isnan()
        self.total += values[known].sum()
        self.pictures += known.sum()

    def compute(self) -> Tensor:
        """The mean so far; NaN before the first picture."""
        return self.total / self.pictures


class PSNR(MeanOverPictures):
    """Mean PSNR in dB, of pictures rounded to 8 bits, or of floats with `eight_bit=False`."""

    higher_is_better = True

    def __init__(self, eight_bit: bool = True) -> None:
        super().__init__(partial(psnr, eight_bit=eight_bit))


class SSIM(MeanOverPictures):
    """Mean SSIM."""

    higher_is_better = True

    def __init__(self) -> None:
        super().__init__(ssim)


class MSSSIM(MeanOverPictures):
    """Mean MS-SSIM."""

    higher_is_better = True

    def __init__(self) -> None:
        super().__init__(ms_ssim)


class LPIPS(MeanOverPictures):
    """Mean LPIPS, with AlexNet unless `vgg` is asked for."""

    higher_is_better = False

    def __init__(self, backbone: Backbone = "alex") -> None:
        super().__init__(partial(lpips, backbone=backbone))


class DISTS(MeanOverPictures):
    """Mean DISTS."""

    higher_is_better = False

    def __init__(self) -> None:
        super().__init__(dists)


class VSI(MeanOverPictures):
    """Mean VSI."""

    higher_is_better = True

    def __init__(self) -> None:
        from semcom.metrics.vsi import vsi

        super().__init__(vsi)


class TopKAgreement(MeanOverPictures):
    """Share of pictures whose class a classifier still finds among its first k."""

    higher_is_better = True

    def __init__(self, k: int = 5) -> None:
        from semcom.metrics.topk_agreement import topk_agreement

        super().__init__(partial(topk_agreement, k=k))


class RegionPSNR(MeanOverPictures):
    """Mean PSNR in dB of a region; `update(preds, target, mask)`."""

    higher_is_better = True

    def __init__(self, eight_bit: bool = True) -> None:
        super().__init__(partial(regions.region_psnr, eight_bit=eight_bit))


class RegionSSIM(MeanOverPictures):
    """Mean SSIM of a region; `update(preds, target, mask)`."""

    higher_is_better = True

    def __init__(self) -> None:
        super().__init__(regions.region_ssim)


class RegionLPIPS(MeanOverPictures):
    """Mean LPIPS of a region; `update(preds, target, mask)`."""

    higher_is_better = False

    def __init__(self, backbone: Backbone = "alex") -> None:
        super().__init__(partial(regions.region_lpips, backbone=backbone))


class CLIPScore(MeanOverPictures):
    """Mean CLIP score, 0–100: `update(preds, captions)`, or `update(preds, target)` of pictures.

    Args:
        path: folder of a CLIP model, see `semcom.metrics.clip_score.ClipScorer`.
    """

    higher_is_better = True

    def __init__(self, path: str | Path) -> None:
        from semcom.metrics.clip_score import ClipScorer

        super().__init__(ClipScorer(path).compare)


class CaptionSimilarity(Metric):
    """Mean CIDEr. It keeps the captions: what a word is worth depends on all of them.

    Text is no state that torchmetrics gathers, so that unlike the others it does not add up over processes.
    """

    full_state_update = False
    is_differentiable = False
    higher_is_better = True

    def __init__(self) -> None:
        super().__init__()
        self._preds: list[str] = []
        self._target: list[Sequence[str]] = []

    def update(self, preds: Sequence[str], target: Sequence[Sequence[str]]) -> None:
        """Adds captions and the references of each."""
        self._preds += preds
        self._target += target

    def compute(self) -> Tensor:
        """Mean over all captions so far. Raises `ValueError` for fewer than two."""
        return caption_similarity(self._preds, self._target).mean()

    def reset(self) -> None:
        """Forgets the captions."""
        super().reset()
        self._preds, self._target = [], []
