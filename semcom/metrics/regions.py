"""PSNR, SSIM and LPIPS of a region: how faithful the key regions are, and how good the rest looks.

The local errors of the whole picture are averaged with the region as weight, so that nothing is measured on
cut-out pictures with invented borders. DISTS compares statistics of the whole picture and has no such form.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from semcom.metrics.lpips import Backbone, network
from semcom.metrics.ssim import ssim_map


@torch.inference_mode()
def region_psnr(preds: Tensor, target: Tensor, mask: Tensor, eight_bit: bool = True) -> Tensor:
    """PSNR over the pixels of a region.

    Args:
        preds: [B,3,H,W] float in [0,1].
        target: the same shape.
        mask: see `weights`.
        eight_bit: as in `psnr`.

    Returns:
        [B] float in dB; NaN where the region is empty.
    """
    if eight_bit:
        preds, target = ((x.clamp(0, 1) * 255).round() / 255 for x in (preds, target))
    return -10 * _mean((preds - target).square().mean(1, keepdim=True), weights(mask, target)).log10()


@torch.inference_mode()
def region_ssim(preds: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """SSIM over the windows whose middle lies in a region; arguments and result as `region_psnr`."""
    similarity = ssim_map(preds, target).mean(1, keepdim=True)
    border = (target.shape[-1] - similarity.shape[-1]) // 2
    return _mean(similarity, weights(mask, target)[:, :, border:-border, border:-border])


@torch.inference_mode()
def region_lpips(preds: Tensor, target: Tensor, mask: Tensor, backbone: Backbone = "alex") -> Tensor:
    """LPIPS weighted by a region at every layer; arguments and result as `region_psnr`."""
    return network(backbone)(preds, target, weights(mask, target))


def weights(mask: Tensor, target: Tensor) -> Tensor:
    """Weight of every pixel of a region.

    Args:
        mask: bool or float in [0,1], [B,H,W], or [B,⌈H/16⌉,⌈W/16⌉] such as `Reconstruction.key_mask`; `~mask`
            is the rest of the picture.
        target: [B,3,H,W].

    Returns:
        [B,1,H,W] float.

    Raises:
        ValueError: another shape.
    """
    height, width = target.shape[2:]
    grid = (-(-height // 16), -(-width // 16))
    if mask.ndim != 3 or tuple(mask.shape[1:]) not in ((height, width), grid):
        raise ValueError(
            f"mask must be [B,{height},{width}] or [B,{grid[0]},{grid[1]}], not {list(mask.shape)}"
        )
    values = mask.to(target.dtype)[:, None]
    if tuple(mask.shape[1:]) == (height, width):
        return values
    return F.interpolate(values, scale_factor=16, mode="nearest")[:, :, :height, :width]


def _mean(values: Tensor, weight: Tensor) -> Tensor:
    return (values * weight).sum((1, 2, 3)) / weight.sum((1, 2, 3))
