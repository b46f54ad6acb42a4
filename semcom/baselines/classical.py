"""Classical codecs as systems: the finest coding that fits the budget, reduced in size where that is better.

At ultra-low rates a codec does better on a smaller picture, scaled up again by the receiver; so the
sender tries reductions by 1 to 16 and keeps the one with the best SSIM. The first packet begins with

    width (2) │ height (2) │ reduction (1)

and the codec's payload follows, in as many packets as its format can lose one by one. The size is that of
the session: a receiver takes a header that says otherwise for damage.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image
from torch import Tensor

from semcom.baselines.codec import SCALES, Codec, Pixels
from semcom.baselines.loss import grey_picture
from semcom.contracts import Budget, BudgetError
from semcom.message import Message, Protection, ReceivedMessage, Reconstruction, Stream
from semcom.metrics.reference import LastReference
from semcom.metrics.ssim import ssim
from semcom.packets import packet_sizes
from semcom.picture.pixels import to_pixels, to_tensor

MIN_SIDE, MAX_SIDE = 16, 16383  # SSIM and x265 need some pixels; 16383 is VP8's limit
_HEADER = struct.Struct(">HHB")


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
        """The picture from what arrived before the first lost packet; a grey one where that is too little.

        Never raises, and never decodes anything larger than the session's picture.
        """
        chunks = received.chunks("image")
        arrived = chunks[: chunks.index(None)] if None in chunks else chunks
        try:
            picture = _picture(
                self._codec,
                [c for c in arrived if c is not None],
                len(chunks),
                received.width,
                received.height,
            )
        except Exception:  # a decoder that meets damaged bytes may raise anything
            return grey_picture(received)
        notes = () if None not in chunks else (f"image truncated: {len(arrived)} of {len(chunks)} packets",)
        return Reconstruction(to_tensor(picture).contiguous(), notes=notes)


@dataclass(frozen=True)
class _Coding:
    """The picture at one reduction and quality, and how good that is: SSIM, 1 at best."""

    message: Message
    score: float


class _Trials:
    """What has been tried with a picture: searches for other budgets pass by many of the same codings."""

    def __init__(self, codec: Codec, pixels: Pixels) -> None:
        self.codec, self.pixels = codec, pixels
        self._codings: dict[tuple[int, int], _Coding] = {}
        self._ceilings: dict[int, float] = {}

    def coding(self, scale: int, quality: int) -> _Coding:
        """The picture reduced by `scale`."""
        key = scale, quality
        if key not in self._codings:
            height, width = self.pixels.shape[:2]
            first, *others = self.codec.encode(self._reduced(scale), quality)
            chunks = (_HEADER.pack(width, height, scale) + first, *others)
            decoded = _picture(self.codec, chunks, len(chunks), width, height)
            message = Message((Stream("image", Protection.BASE, chunks),), width, height)
            self._codings[key] = _Coding(message, self._ssim(decoded))
        return self._codings[key]

    def ceiling(self, scale: int) -> float:
        """SSIM of the reduced picture that no codec has touched: more than bits can buy at that size."""
        if scale not in self._ceilings:
            height, width = self.pixels.shape[:2]
            restored = _resize(self._reduced(scale), width, height, Image.Resampling.BICUBIC)
            self._ceilings[scale] = self._ssim(restored)
        return self._ceilings[scale]

    def _reduced(self, scale: int) -> Pixels:
        height, width = self.pixels.shape[:2]
        return _resize(self.pixels, *_reduced(width, height, scale), Image.Resampling.LANCZOS)

    def _ssim(self, picture: Pixels) -> float:
        return ssim(to_tensor(picture)[None], to_tensor(self.pixels)[None]).item()


class _Search:
    """The best message of one picture for one budget.

    More budget never gives a worse picture, though neither size nor SSIM rises with every step of a codec's
    quality. For each reduction the qualities are the nodes of one search tree, the same for all budgets; a
    coding counts only where its SSIM lies between those of the nodes that bound it, and otherwise the
    best below stands in for it. So what a larger budget finds at a reduction is never worse, and neither is
    the best over all reductions that fit at the lowest quality. A reduction that even uncoded is worse than
    what a larger picture has reached is passed over: it would not be chosen.
    """

    def __init__(self, trials: _Trials, budget: Budget) -> None:
        self._trials, self._budget = trials, budget
        self._lowest, self._highest = trials.codec.qualities[0], trials.codec.qualities[-1]

    def message(self) -> Message:
        """Raises `BudgetError` when nothing fits."""
        scales = [scale for scale in SCALES if min(self._trials.pixels.shape[:2]) >= scale * MIN_SIDE]
        best: _Coding | None = None
        for scale in scales:
            if best is not None and self._trials.ceiling(scale) <= best.score:
                continue
            if self._budget.fits(self._trials.coding(scale, self._lowest).message):
                found = self._best(scale)
                best = found if best is None or found.score > best.score else best
        if best is not None:
            return best.message
        smallest = self._trials.coding(scales[-1], self._lowest).message
        raise BudgetError(self._budget.limit, self._budget.cost(packet_sizes(smallest)), self._budget.unit)

    def _best(self, scale: int) -> _Coding:
        """By steps that double, so that no coding much larger than the budget is made, then by halves."""
        best, ceiling = self._trials.coding(scale, self._lowest), self._trials.ceiling(scale)
        low, high, step = self._lowest, self._highest, 1
        while low < high:
            middle = min(low + step, high) if step else (low + high + 1) // 2
            tried = self._trials.coding(scale, middle)
            counted = tried if best.score <= tried.score <= ceiling else best
            if self._budget.fits(tried.message):
                low, best, step = middle, counted, 2 * step
            else:
                high, ceiling, step = middle - 1, counted.score, 0
        return best


def _check(image: Tensor) -> None:
    if image.ndim != 3 or image.shape[0] != 3:
        raise ValueError(
            f"image must be [3,H,W], not {list(image.shape)}: make a grey picture three equal channels and "
            "composite alpha on a colour, as `semcom.images.load` does"
        )
    if min(image.shape[1:]) < MIN_SIDE or max(image.shape[1:]) > MAX_SIDE:
        size = f"{image.shape[2]}x{image.shape[1]}"
        raise ValueError(f"image sides must be {MIN_SIDE} to {MAX_SIDE} pixels, not {size}")


def _picture(codec: Codec, arrived: Sequence[bytes], sent: int, width: int, height: int) -> Pixels:
    """A picture of width and height. Raises `ValueError` where too little arrived, or of another size."""
    if not arrived:
        raise ValueError("nothing of it arrived")
    *announced, scale = _HEADER.unpack_from(arrived[0])
    if announced != [width, height] or scale not in SCALES:
        raise ValueError("not a picture of this session")
    pieces = [arrived[0][_HEADER.size :], *arrived[1:]]
    reduced = codec.decode(pieces, sent, *_reduced(width, height, scale))
    return _resize(reduced, width, height, Image.Resampling.BICUBIC)


def _reduced(width: int, height: int, scale: int) -> tuple[int, int]:
    return -(-width // scale), -(-height // scale)


def _resize(pixels: Pixels, width: int, height: int, resampling: Image.Resampling) -> Pixels:
    if pixels.shape[:2] == (height, width):
        return pixels
    return np.asarray(Image.fromarray(pixels).resize((width, height), resampling))
