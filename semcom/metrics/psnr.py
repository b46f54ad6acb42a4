"""PSNR: peak signal-to-noise ratio over all pixels and colours."""

from __future__ import annotations

import torch
from torch import Tensor

from semcom.metrics.registry import Metric


@torch.inference_mode()
def psnr(preds: Tensor, target: Tensor, eight_bit: bool = True) -> Tensor:
    """PSNR per picture.

    Args:
        preds: [B,3,H,W] float in [0,1].
        target: the same shape.
        eight_bit: compare what a saved file holds, both pictures rounded to 8 bits; else the floats.

    Returns:
        [B] float in dB, infinite for identical pictures; higher is better.
    """
    if eight_bit:
        preds, target = ((x.clamp(0, 1) * 255).round() / 255 for x in (preds, target))
    return -10 * (preds - target).square().mean((1, 2, 3)).log10()


METRIC = Metric("psnr", psnr, True, "PSNR (dB)", 2, (0.0, None), default=True, of_equals=100.0)
