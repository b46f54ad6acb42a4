"""SSIM and MS-SSIM: structural similarity (Wang et al., IEEE TIP 13(4), 2004; Asilomar 2003).

Gaussian window of 11×11, σ = 1.5; K1 = 0.01, K2 = 0.03; per colour, then averaged. No padding: only
windows inside the picture count.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

_WINDOW, _SIGMA = 11, 1.5
_C1, _C2 = 0.01**2, 0.03**2
_SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
MS_SSIM_MIN_SIDE = (_WINDOW - 1) * 2 ** (len(_SCALE_WEIGHTS) - 1) + 1


@torch.inference_mode()
def ssim(preds: Tensor, target: Tensor) -> Tensor:
    """SSIM per picture.

    Args:
        preds: [B,3,H,W] float in [0,1], at least 11×11.
        target: the same shape.

    Returns:
        [B] float, 1 for identical pictures; higher is better.
    """
    return ssim_map(preds, target).mean((1, 2, 3))


def ssim_map(preds: Tensor, target: Tensor) -> Tensor:
    """SSIM of every window inside the picture: [B,3,H-10,W-10]."""
    luminance, contrast_structure = _maps(preds, target)
    return luminance * contrast_structure


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
        luminance, similarity = _maps(preds, target)
        if scale == len(_SCALE_WEIGHTS):
            similarity = luminance * similarity
        result = result * similarity.mean((2, 3)).clamp(min=0) ** weight
        preds, target = _halve(preds), _halve(target)
    return result.mean(1)


def _maps(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Luminance, and contrast times structure, at every window: both [B,C,h,w]."""
    x_mean, y_mean = _blur(x), _blur(y)
    x_var, y_var = _blur(x * x) - x_mean**2, _blur(y * y) - y_mean**2
    covariance = _blur(x * y) - x_mean * y_mean
    luminance = (2 * x_mean * y_mean + _C1) / (x_mean**2 + y_mean**2 + _C1)
    return luminance, (2 * covariance + _C2) / (x_var + y_var + _C2)


def _blur(x: Tensor) -> Tensor:
    """Separable window as sums of shifted pictures: twice as fast as a depthwise convolution."""
    offsets = torch.arange(_WINDOW, dtype=x.dtype) - _WINDOW // 2
    window = torch.exp(-(offsets**2) / (2 * _SIGMA**2))
    weights = (window / window.sum()).tolist()
    for dim in (3, 2):
        side = x.shape[dim] - _WINDOW + 1
        blurred = x.narrow(dim, 0, side) * weights[0]
        for offset, weight in enumerate(weights[1:], 1):
            blurred = blurred.add_(x.narrow(dim, offset, side), alpha=weight)
        x = blurred
    return x


def _halve(x: Tensor) -> Tensor:
    """2×2 mean; a border of odd pictures is continued with zeros, as the reference code does."""
    return F.avg_pool2d(x, 2, padding=[side % 2 for side in x.shape[2:]])
