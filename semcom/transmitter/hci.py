"""HCI: the highly compressed image, a quarter-size AV1 still picture without its container."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from semcom.models import av1
from semcom.models.grid import HCI_SCALE
from semcom.models.pixels import to_pixels

MIN_QUALITY, MAX_QUALITY = 1, 63
_FAST_SPEED = 6  # for the search only: sizes within a few per cent of the final setting's, ten times sooner


def thumbnail(image: Tensor) -> NDArray[np.uint8]:
    """[h,w,3] uint8, a quarter of a picture [3,H,W] in [0,1] whose sides are multiples of 16."""
    full = Image.fromarray(to_pixels(image))
    size = (full.width // HCI_SCALE, full.height // HCI_SCALE)
    return np.asarray(full.resize(size, Image.Resampling.BICUBIC))


def finest(thumb: NDArray[np.uint8], fits: Callable[[int], bool]) -> tuple[bytes, int] | None:
    """The best coding that fits.

    Args:
        thumb: [h,w,3] uint8.
        fits: whether a payload of so many bytes fits.

    Returns:
        Payload and AV1 quality, or None when not even the lowest quality fits.
    """
    low, high = MIN_QUALITY - 1, MAX_QUALITY
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(len(av1.encode(thumb, middle, _FAST_SPEED))) else (low, middle - 1)
    for quality in range(min(low + 2, MAX_QUALITY), MIN_QUALITY - 1, -1):
        payload = av1.encode(thumb, quality)
        if fits(len(payload)):
            return payload, quality
    return None
