"""Picture quality: one metric a file, functions on batches [B,3,H,W] in [0,1].

The torchmetrics classes `PSNR`, `SSIM`, `LPIPS`, … are here by name too; torchmetrics is imported with the
first of them.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_CLASSES = (
    "CLIPScore",
    "CaptionSimilarity",
    "DISTS",
    "LPIPS",
    "MSSSIM",
    "PSNR",
    "RegionLPIPS",
    "RegionPSNR",
    "RegionSSIM",
    "SSIM",
    "TopKAgreement",
    "VSI",
)


def __getattr__(name: str) -> Any:
    if name in _CLASSES:
        return getattr(import_module("semcom.metrics.classes"), name)
    if name in ("FID", "FIDBackbone", "KID"):
        return getattr(import_module("semcom.metrics.fid"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
