"""MS-SSIM: structural similarity over five scales (Wang, Simoncelli and Bovik, Asilomar 2003)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from semcom.metrics.registry import Metric
from semcom.metrics.ssim import WINDOW, similarity_maps

_SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
MS_SSIM_MIN_SIDE = (WINDOW - 1) * 2 ** (len(_SCALE_WEIGHTS) - 1) + 1


@torch.inference_mode()
def ms_ssim(preds: Tensor, target: Tensor) -> Tensor:
    """MS-SSIM over five scales, per picture.

    Args:
        preds: [B,3,H,W] float in [0,1], sides of at least 161.
        target: the same shape.

    Returns:
        [B] float, 1 for identical pictures; higher is better.

    Raises:
        ValueError: a side is shorter than 161 pixels.
    """
    if min(preds.shape[2:]) < MS_SSIM_MIN_SIDE:
        raise ValueError(
            f"MS-SSIM needs sides of at least {MS_SSIM_MIN_SIDE} pixels, not {tuple(preds.shape[2:])}"
        )
    result = torch.ones(preds.shape[:2], device=preds.device)
    for scale, weight in enumerate(_SCALE_WEIGHTS, 1):
        luminance, similarity = similarity_maps(preds, target)
        if scale == len(_SCALE_WEIGHTS):
            similarity = luminance * similarity
        result = result * similarity.mean((2, 3)).clamp(min=0) ** weight
        preds, target = _halve(preds), _halve(target)
    return result.mean(1)


def _halve(x: Tensor) -> Tensor:
    """2×2 mean; a border of odd pictures is continued with zeros, as the reference code does."""
    return F.avg_pool2d(x, 2, padding=[side % 2 for side in x.shape[2:]])


METRIC = Metric("ms_ssim", ms_ssim, True, "MS-SSIM", range=(0.0, 1.0), default=True)
