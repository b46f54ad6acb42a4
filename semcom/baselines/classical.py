"""Classical codecs as systems: the finest coding that fits the budget, reduced in size where that is better.

At ultra-low rates a codec does better on a smaller picture, scaled up again by the receiver; so the
sender tries reductions by 1 to 4 and keeps the one with the best SSIM. One packet carries all:

    width (2) │ height (2) │ reduction (1) │ payload
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from semcom.message import Budget, BudgetError, Message, Protection, ReceivedMessage, Reconstruction, Stream
from semcom.metrics.ssim import ssim
from semcom.models import av1
from semcom.models.pixels import to_pixels, to_tensor
from semcom.packets import packet_sizes

Pixels = NDArray[np.uint8]

SCALES = (1, 2, 3, 4)
_HEADER = struct.Struct(">HHB")
_GREY = 0.5


@dataclass(frozen=True)
class Codec:
    """An image codec with a quality scale.

    Attributes:
        name: of the system.
        qualities: from the smallest to the largest payload.
        encode: payload of [h,w,3] uint8 at a quality; the flag asks for a quick estimate, a few per cent
            larger, for searching.
        decode: [h,w,3] uint8 of a payload, width and height. Raises `ValueError` on damaged bytes.
    """

    name: str
    qualities: range
    encode: Callable[[Pixels, int, bool], bytes]
    decode: Callable[[bytes, int, int], Pixels]


AVIF = Codec(
    name="avif",
    qualities=range(101),
    encode=lambda pixels, quality, quick: av1.encode(pixels, quality, speed=6 if quick else 2),
    decode=av1.decode,
)


class ClassicalSystem:
    """A codec behind the contract of every system: one stream `image` in one packet of class base.

    Args:
        codec: what makes the payload.
    """

    def __init__(self, codec: Codec) -> None:
        self._codec = codec

    def encode(self, image: Tensor, budget: Budget) -> Message:
        """Message of a picture [3,H,W] float in [0,1].

        Raises:
            BudgetError: not even the lowest quality at a quarter of the size fits.
        """
        pixels = to_pixels(image)
        scale, quality = self._best_scale(pixels, budget)
        qualities = self._codec.qualities
        for finer in range(min(quality + 2, qualities[-1]), qualities[0] - 1, -1):
            message = self._message(pixels, scale, finer)
            if budget.fits(message):
                return message
        smallest = self._message(pixels, SCALES[-1], qualities[0])
        if budget.fits(smallest):
            return smallest
        raise BudgetError(budget.limit, budget.cost(packet_sizes(smallest)), budget.unit)

    def decode(self, received: ReceivedMessage) -> Reconstruction:
        """The picture, or a grey one of its size when the packet was lost."""
        (chunk,) = received.chunks("image")
        if chunk is None:
            grey = torch.full((3, received.height, received.width), _GREY)
            return Reconstruction(grey, notes=("image lost: grey picture",))
        return Reconstruction(to_tensor(self._picture(chunk)).contiguous())

    def _best_scale(self, pixels: Pixels, budget: Budget) -> tuple[int, int]:
        """Reduction, and the highest quality that (by quick estimate) fits with it.

        From the smallest picture to the full one: the same bytes never buy a larger picture at a higher
        quality, so each search starts below the last one's answer.
        """
        lowest, highest = self._codec.qualities[0] - 1, self._codec.qualities[-1]
        best, best_score = (SCALES[-1], lowest), -1.0
        for scale in reversed(SCALES):
            highest = self._highest_quality(pixels, scale, budget, highest)
            if highest == lowest:
                break
            chunk = self._chunk(pixels, scale, highest, quick=True)
            score = ssim(to_tensor(self._picture(chunk))[None], to_tensor(pixels)[None]).item()
            if score > best_score:
                best, best_score = (scale, highest), score
        return best

    def _highest_quality(self, pixels: Pixels, scale: int, budget: Budget, high: int) -> int:
        low = self._codec.qualities[0] - 1
        while low < high:
            middle = (low + high + 1) // 2
            fits = budget.fits(self._message(pixels, scale, middle, quick=True))
            low, high = (middle, high) if fits else (low, middle - 1)
        return low

    def _message(self, pixels: Pixels, scale: int, quality: int, quick: bool = False) -> Message:
        chunk = self._chunk(pixels, scale, quality, quick)
        return Message((Stream("image", Protection.BASE, (chunk,)),), pixels.shape[1], pixels.shape[0])

    def _chunk(self, pixels: Pixels, scale: int, quality: int, quick: bool) -> bytes:
        height, width = pixels.shape[:2]
        reduced = _resize(pixels, *_reduced(width, height, scale), Image.Resampling.LANCZOS)
        return _HEADER.pack(width, height, scale) + self._codec.encode(reduced, quality, quick)

    def _picture(self, chunk: bytes) -> Pixels:
        width, height, scale = _HEADER.unpack_from(chunk)
        reduced = self._codec.decode(chunk[_HEADER.size :], *_reduced(width, height, scale))
        return _resize(reduced, width, height, Image.Resampling.BICUBIC)


class AvifSystem(ClassicalSystem):
    """AV1 still pictures without their container."""

    def __init__(self) -> None:
        super().__init__(AVIF)


def _reduced(width: int, height: int, scale: int) -> tuple[int, int]:
    return -(-width // scale), -(-height // scale)


def _resize(pixels: Pixels, width: int, height: int, resampling: Image.Resampling) -> Pixels:
    if pixels.shape[:2] == (height, width):
        return pixels
    return np.asarray(Image.fromarray(pixels).resize((width, height), resampling))
