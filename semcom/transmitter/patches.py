"""Which patches to send of named boxes: all in one quality, as fine as their share of the budget allows."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from semcom.picture.pixels import to_pixels
from semcom.streams import patches
from semcom.streams.coding import av1
from semcom.streams.patches import MOST_UNITS, UNIT, Place
from semcom.transmitter import hci
from semcom.vision import Box

_MOST = 12
_MARGIN = 2  # pixels that fade in around a box that has its own margin already
_MOST_BPP = 0.6
"""Of the patches themselves: finer ones read no better (sail numbers: 0.3; a face of 28 pixels: 0.6)."""
_PAYS = 0.7
"""Largest squared error of a patch, of that of the enlarged HCI: above, key latents do as well."""


def places(boxes: Sequence[Box], width: int, height: int, reduction: int) -> list[Place]:
    """Of the largest boxes in a picture, in whole units, those first that take the most room."""
    found = []
    for x0, y0, x1, y1 in boxes:
        left, top = (max(int(low - _MARGIN) // UNIT * UNIT, 0) for low in (x0, y0))
        right, bottom = (
            min(-(-int(high + _MARGIN + 0.999) // UNIT), -(-side // UNIT)) * UNIT
            for high, side in ((x1, width), (y1, height))
        )
        wide, tall = max(right - left, UNIT), max(bottom - top, UNIT)
        if max(wide, tall) <= MOST_UNITS * UNIT:
            found.append(Place(left, top, wide, tall, reduction))
    return sorted(dict.fromkeys(found), key=lambda p: -p.width * p.height)[:_MOST]


def encode(
    image: Tensor, boxes: Sequence[Box], rough: Tensor, cost: Callable[[Sequence[bytes]], float], limit: float
) -> list[bytes]:
    """Chunks of patches that cost no more than `limit`; none where they would not pay.

    Args:
        image: [3,H,W] in [0,1], of whole key cells.
        boxes: in pixels.
        rough: [3,h,w], what the receiver has without them at a quarter of the scale.
        cost: of chunks, in the budget's unit.
        limit: in the same unit.
    """
    known = F.interpolate(rough[None], image.shape[1:], mode="bicubic")[0].clamp(0, 1)
    best: tuple[float, list[bytes]] = (_PAYS, [])
    for reduction in patches.SCALES:
        spots = places(boxes, image.shape[2], image.shape[1], reduction)
        if not spots:
            return []
        pixels = [_sent(place, image) for place in spots]
        chunks = _finest(spots, pixels, cost, limit)
        if chunks is None:
            continue
        shown = [patches.decode(chunk)[1] for chunk in chunks]
        pairs = list(zip(spots, shown, strict=True))
        error = sum(float((patch - place.cut(image)).square().sum()) for place, patch in pairs)
        without = sum(float((place.cut(known) - place.cut(image)).square().sum()) for place in spots)
        if error < best[0] * without:
            best = error / without, chunks
    return best[1]


def _sent(place: Place, image: Tensor) -> NDArray[np.uint8]:
    cut = place.cut(image)
    size = place.sent_size[::-1]
    if place.reduction > 1:
        cut = F.interpolate(cut[None], size, mode="bicubic", antialias=True)[0].clamp(0, 1)
    return np.ascontiguousarray(to_pixels(cut))


def _finest(
    spots: Sequence[Place],
    pixels: Sequence[NDArray[np.uint8]],
    cost: Callable[[Sequence[bytes]], float],
    limit: float,
) -> list[bytes] | None:
    """By bisection over AV1's qualities; None where not even the coarsest fits."""
    qualities, found = hci.distinct_qualities(), None
    area = sum(place.width * place.height for place in spots)
    low, high = 0, len(qualities)
    while low < high:
        middle = (low + high) // 2
        coded = [av1.encode(picture, qualities[middle]) for picture in pixels]
        chunks = [patches.encode(*pair) for pair in zip(spots, coded, strict=True)]
        if cost(chunks) <= limit and 8 * sum(map(len, coded)) <= _MOST_BPP * area:
            found, low = chunks, middle + 1
        else:
            high = middle
    return found
