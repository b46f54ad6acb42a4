"""Classical codecs as systems: the finest coding that fits the budget, reduced in size where that is better.

At ultra-low rates a codec does better on a smaller picture, scaled up again by the receiver; so the
sender tries reductions by 1 to 16 and keeps the one with the best SSIM. The first packet begins with

    width (2) │ height (2) │ reduction (1)

and the codec's payload follows, in as many packets as its format can lose one by one.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from semcom.baselines.codec import SCALES, Codec, Pixels
from semcom.contracts import Budget, BudgetError
from semcom.message import Message, Protection, ReceivedMessage, Reconstruction, Stream
from semcom.metrics.reference import LastReference
from semcom.metrics.ssim import ssim
from semcom.packets import packet_sizes
from semcom.picture.pixels import to_pixels, to_tensor

MIN_SIDE, MAX_SIDE = 16, 16383  # SSIM and x265 need some pixels; 16383 is VP8's limit
_HEADER = struct.Struct(">HHB")
_GREY = 0.5


class ClassicalSystem:
    """A codec behind the contract of every system: one stream `image` of class base.

    Args:
        codec: what makes the payload.
    """

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self._trials = LastReference(lambda image: _Trials(codec, to_pixels(image)))

    def encode(self, image: Tensor, budget: Budget) -> Message:
        """Message of a picture [3,H,W] float in [0,1], sides of 16 to 16383.

        Raises:
            BudgetError: not even the lowest quality at the largest reduction fits.
            ValueError: a grey picture, one with alpha, or a side out of range.
        """
        _check(image)
        return _Search(self._trials(image), budget).message()

    def decode(self, received: ReceivedMessage) -> Reconstruction:
        """The picture from what arrived before the first lost packet; a grey one where that is too little."""
        chunks = received.chunks("image")
        arrived = chunks[: chunks.index(None)] if None in chunks else chunks
        try:
            picture = _picture(self._codec, [c for c in arrived if c is not None], len(chunks))
        except ValueError:
            grey = torch.full((3, received.height, received.width), _GREY)
            return Reconstruction(grey, notes=("image lost: grey picture",))
        notes = () if None not in chunks else (f"image truncated: {len(arrived)} of {len(chunks)} packets",)
        return Reconstruction(to_tensor(picture).contiguous(), notes=notes)


class _Trials:
    """What has been tried with a picture: searches for other budgets pass by many of the same codings."""

    def __init__(self, codec: Codec, pixels: Pixels) -> None:
        self.codec, self.pixels = codec, pixels
        self._coded: dict[tuple[int, int, bool], tuple[bytes, ...]] = {}
        self._scores: dict[tuple[int, int], float] = {}

    def message(self, scale: int, quality: int, quick: bool = False) -> Message:
        """The picture reduced by `scale`; `quick` for about that size."""
        height, width = self.pixels.shape[:2]
        stream = Stream(
            "image", Protection.BASE, self._chunks(scale, quality, quick and self.codec.has_quick)
        )
        return Message((stream,), width, height)

    def score(self, scale: int, quality: int) -> float:
        """SSIM of the quick coding."""
        key = scale, quality
        if key not in self._scores:
            chunks = self._chunks(scale, quality, self.codec.has_quick)
            picture = _picture(self.codec, chunks, len(chunks))
            self._scores[key] = ssim(to_tensor(picture)[None], to_tensor(self.pixels)[None]).item()
        return self._scores[key]

    def tried(self, scale: int) -> list[int]:
        """Qualities of which the size is known, ascending."""
        return sorted(q for s, q, quick in self._coded if s == scale and quick == self.codec.has_quick)

    def _chunks(self, scale: int, quality: int, quick: bool) -> tuple[bytes, ...]:
        key = scale, quality, quick
        if key not in self._coded:
            height, width = self.pixels.shape[:2]
            reduced = _resize(self.pixels, *_reduced(width, height, scale), Image.Resampling.LANCZOS)
            first, *others = self.codec.encode(reduced, quality, quick)
            self._coded[key] = (_HEADER.pack(width, height, scale) + first, *others)
        return self._coded[key]


class _Search:
    """The best message of one picture for one budget."""

    def __init__(self, trials: _Trials, budget: Budget) -> None:
        self._trials, self._budget = trials, budget
        self._qualities = trials.codec.qualities
        self._lowest = self._qualities[0]

    def message(self) -> Message:
        """Raises `BudgetError` when nothing fits."""
        scales = [scale for scale in SCALES if min(self._trials.pixels.shape[:2]) >= scale * MIN_SIDE]
        scale, quality = self._best_scale(scales)
        for fitting in range(quality, self._lowest - 1, -1):
            message = self._trials.message(scale, fitting)
            if self._budget.fits(message):
                return message
        smallest = self._trials.message(scales[-1], self._lowest)
        if self._budget.fits(smallest):
            return smallest
        cost = self._budget.cost(packet_sizes(smallest))
        raise BudgetError(self._budget.limit, cost, self._budget.unit)

    def _best_scale(self, scales: Sequence[int]) -> tuple[int, int]:
        """Reduction, and the highest quality that (by quick estimate) fits with it.

        From the smallest picture to the full one: the same bytes never buy a larger picture at a higher
        quality, so each search starts below the last one's answer, and ends when a larger one is worse.
        """
        best, best_score, highest = (scales[-1], self._lowest - 1), -1.0, self._qualities[-1]
        for scale in reversed(scales):
            highest = self._highest_quality(scale, highest)
            if highest < self._lowest:
                break
            score = self._trials.score(scale, highest)
            if score < best_score:
                break
            best, best_score = (scale, highest), score
        return best

    def _highest_quality(self, scale: int, high: int) -> int:
        """By bisection, of what has been tried already first."""
        if not self._fits(scale, self._lowest):
            return self._lowest - 1
        low = self._lowest
        while low < high:
            known = [quality for quality in self._trials.tried(scale) if low < quality <= high]
            middle = known[len(known) // 2] if known else (low + high + 1) // 2
            low, high = (middle, high) if self._fits(scale, middle) else (low, middle - 1)
        return low

    def _fits(self, scale: int, quality: int) -> bool:
        return self._budget.fits(self._trials.message(scale, quality, quick=True))


def _check(image: Tensor) -> None:
    if image.ndim != 3 or image.shape[0] != 3:
        raise ValueError(
            f"image must be [3,H,W], not {list(image.shape)}: make a grey picture three equal channels and "
            "composite alpha on a colour, as `semcom.images.load` does"
        )
    if min(image.shape[1:]) < MIN_SIDE or max(image.shape[1:]) > MAX_SIDE:
        size = f"{image.shape[2]}x{image.shape[1]}"
        raise ValueError(f"image sides must be {MIN_SIDE} to {MAX_SIDE} pixels, not {size}")


def _picture(codec: Codec, arrived: Sequence[bytes], sent: int) -> Pixels:
    """Raises `ValueError` where too little arrived."""
    if not arrived:
        raise ValueError("nothing of it arrived")
    width, height, scale = _HEADER.unpack_from(arrived[0])
    pieces = [arrived[0][_HEADER.size :], *arrived[1:]]
    reduced = codec.decode(pieces, sent, *_reduced(width, height, scale))
    return _resize(reduced, width, height, Image.Resampling.BICUBIC)


def _reduced(width: int, height: int, scale: int) -> tuple[int, int]:
    return -(-width // scale), -(-height // scale)


def _resize(pixels: Pixels, width: int, height: int, resampling: Image.Resampling) -> Pixels:
    if pixels.shape[:2] == (height, width):
        return pixels
    return np.asarray(Image.fromarray(pixels).resize((width, height), resampling))
