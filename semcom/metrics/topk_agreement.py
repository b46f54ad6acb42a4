"""Top-k agreement: whether a classifier still sees in the reconstruction what it saw in the original.

EfficientNet-Lite0, the backbone of profile `tiny`, on the middle square of the picture; the class of the
original is the classifier's own, so no labels are needed.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from semcom.metrics.registry import Metric
from semcom.networks.efficientnet import EfficientNetLite0, center_crop
from semcom.profile import Profile


@torch.inference_mode()
def topk_agreement(preds: Tensor, target: Tensor, k: int = 5) -> Tensor:
    """Whether the original's class is among the first k of the reconstruction.

    Args:
        preds: [B,3,H,W] float in [0,1].
        target: the same shape.
        k: 1 to 1000.

    Returns:
        [B] float, 1 where they agree, else 0.
    """
    original = _classifier()(center_crop(target)).argmax(1, keepdim=True)
    guesses = _classifier()(center_crop(preds)).topk(k).indices
    return (guesses == original).any(1).to(preds.dtype)


@cache
def _classifier() -> EfficientNetLite0:
    return Profile.open("tiny").build("backbone", EfficientNetLite0)


METRIC = Metric("topk_agreement", topk_agreement, True, "top-5 agreement", range=(0.0, 1.0))
