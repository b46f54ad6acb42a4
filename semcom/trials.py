"""Several realisations of a channel for one message: how the results spread."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from semcom.contracts import System
from semcom.message import ReceivedMessage
from semcom.metrics.registry import find
from semcom.pretrained import PretrainedError

if TYPE_CHECKING:
    from torch import Tensor

USUAL = ("psnr", "ssim")
_PERCEIVED = ("dists", "lpips")
_QUANTILES = {"min": 0.0, "p10": 0.1, "median": 0.5, "p90": 0.9, "max": 1.0}


def perceived(picture: Tensor, photo: Tensor) -> dict[str, float]:
    """DISTS and LPIPS of a picture [3,H,W]; empty where their networks cannot be had."""
    try:
        return _measured(picture, photo, _PERCEIVED)
    except PretrainedError:
        return {}


def _measured(picture: Tensor, photo: Tensor, metrics: Sequence[str]) -> dict[str, float]:
    return {name: find(name)(picture[None], photo[None]).item() for name in metrics}


def spread(
    system: System, photo: Tensor, received: Sequence[ReceivedMessage], metrics: Sequence[str] = USUAL
) -> dict[str, Any]:
    """Decodes each different reception once.

    Args:
        system: that decodes.
        photo: [3,H,W] float in [0,1], the original.
        received: one message a realisation.
        metrics: names of what is measured.

    Returns:
        `trials`, `complete` (share of realisations that lost nothing), `lost` (per stream the share of its
        packets lost), and per metric its mean and quantiles over the realisations.
    """
    values: dict[object, dict[str, float]] = {}
    rows = []
    for message in received:
        content = tuple((stream.name, stream.chunks) for stream in message.streams)
        if content not in values:
            values[content] = _measured(system.decode(message).image, photo, metrics)
        rows.append(values[content])
    names = [stream.name for stream in received[0].streams]
    lost = {
        name: float(np.mean([[chunk is None for chunk in message.chunks(name)] for message in received]))
        for name in names
    }
    complete = np.mean([all(stream.complete for stream in message.streams) for message in received])
    figures = {name: _statistics([row[name] for row in rows]) for name in metrics}
    return {"trials": len(received), "complete": float(complete), "lost": lost, **figures}


def _statistics(values: Sequence[float]) -> dict[str, float]:
    quantiles = {name: float(np.quantile(values, q)) for name, q in _QUANTILES.items()}
    return {"mean": float(np.mean(values))} | quantiles
