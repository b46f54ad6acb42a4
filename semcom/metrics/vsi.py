"""VSI: visual saliency-induced index (Zhang et al., IEEE TIP 23(10), 2014), by the library `piq`."""

from __future__ import annotations

import piq
import torch
from torch import Tensor

from semcom.metrics.registry import Metric


@torch.inference_mode()
def vsi(preds: Tensor, target: Tensor) -> Tensor:
    """VSI per picture.

    Args:
        preds: [B,3,H,W] float in [0,1].
        target: the same shape.

    Returns:
        [B] float, 1 for identical pictures; higher is better.
    """
    result: Tensor = piq.vsi(preds.clamp(0, 1), target.clamp(0, 1), reduction="none")
    return result


METRIC = Metric("vsi", vsi, True, "VSI", range=(0.0, 1.0))
