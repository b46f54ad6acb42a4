"""Several realisations of a channel for one message: how the results spread."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from semcom.contracts import System
from semcom.message import ReceivedMessage
from semcom.metrics.psnr import psnr
from semcom.metrics.ssim import ssim

if TYPE_CHECKING:
    from torch import Tensor

_QUANTILES = {"min": 0.0, "p10": 0.1, "median": 0.5, "p90": 0.9, "max": 1.0}


def spread(system: System, photo: Tensor, received: Sequence[ReceivedMessage]) -> dict[str, Any]:
    """Decodes each different reception once.

    Args:
        system: that decodes.
        photo: [3,H,W] float in [0,1], the original.
        received: one message a realisation.

    Returns:
        `trials`, `complete` (share of realisations that lost nothing), `lost` (per stream the share of its
        packets lost), and per metric its mean and quantiles over the realisations.
    """
    values: dict[object, tuple[float, float]] = {}
    rows = []
    for message in received:
        content = tuple((stream.name, stream.chunks) for stream in message.streams)
        if content not in values:
            picture = system.decode(message).image[None]
            values[content] = psnr(picture, photo[None]).item(), ssim(picture, photo[None]).item()
        rows.append(values[content])
    names = [stream.name for stream in received[0].streams]
    lost = {
        name: float(np.mean([[chunk is None for chunk in message.chunks(name)] for message in received]))
        for name in names
    }
    complete = np.mean([all(stream.complete for stream in message.streams) for message in received])
    return {
        "trials": len(received),
        "complete": float(complete),
        "lost": lost,
        "psnr": _statistics([row[0] for row in rows]),
        "ssim": _statistics([row[1] for row in rows]),
    }


def _statistics(values: Sequence[float]) -> dict[str, float]:
    quantiles = {name: float(np.quantile(values, q)) for name, q in _QUANTILES.items()}
    return {"mean": float(np.mean(values))} | quantiles
