"""HCI: the highly compressed image, a quarter-size AV1 still picture without its container.

The finest quality that fits a budget is found with few encodes of the slow, final setting: a search with
a fast setting says where to look, then neighbouring levels are coded two at a time, on two cores, until
one fits and the next finer one does not, or is expected to miss by far.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from semcom.bisection import largest
from semcom.picture.grid import HCI_SCALE
from semcom.picture.pixels import to_pixels
from semcom.streams.coding import av1

MIN_QUALITY, MAX_QUALITY = 1, 63
_FINAL_SPEED = 3  # a fifth faster than 2, and 0.5 % larger at equal PSNR (six Kodak thumbnails)
_FAST_SPEED, _QUICKEST_SPEED = 6, 10
_FINAL_OVER_FAST = 1.02  # bytes at equal quality, on average
_CAUTION = 0.95  # sizes of the two settings grow from level to level alike to within a few per cent


def thumbnail(image: Tensor) -> NDArray[np.uint8]:
    """[h,w,3] uint8, a quarter of a picture [3,H,W] in [0,1] whose sides are multiples of 16."""
    full = Image.fromarray(to_pixels(image))
    size = (full.width // HCI_SCALE, full.height // HCI_SCALE)
    return np.asarray(full.resize(size, Image.Resampling.LANCZOS))


def reduced(thumb: NDArray[np.uint8], reduction: int) -> NDArray[np.uint8]:
    """[h,w,3] uint8 on fewer pixels, for the lowest rates."""
    height, width = (-(-side // reduction) for side in thumb.shape[:2])
    return np.asarray(Image.fromarray(thumb).resize((width, height), Image.Resampling.LANCZOS))


def encode(thumb: NDArray[np.uint8], quality: int, speed: int = _FINAL_SPEED) -> bytes:
    """Payload of [h,w,3] uint8.

    Without AV1's loop filters: the enhancer removes artefacts better, and their side information is not
    free. LPIPS of the enhanced picture at equal bytes is 0.006 lower (four Kodak pictures). Without blocks
    of 4 pixels coding takes a quarter less time, and DISTS is 0.001 lower (six Kodak pictures).
    Sharper, LPIPS is 0.004 lower and DISTS 0.001 (six BSDS500 pictures). Without quantiser steps that differ
    from block to block the thumbnail's PSNR is 0.11 ± 0.03 dB higher at equal bytes and DISTS 0.005 ± 0.002
    lower (47 BSDS500 pictures and wallpapers).
    """
    return av1.encode(thumb, quality, speed, for_restoration=True)


class Search:
    """Codings of one thumbnail, each made once.

    Args:
        thumb: [h,w,3] uint8.
    """

    def __init__(self, thumb: NDArray[np.uint8]) -> None:
        self.thumb = thumb
        self._made: dict[tuple[int, int], bytes] = {}  # by level and speed
        self._over_fast = _FINAL_OVER_FAST

    def typical(self, fits: Callable[[int], bool]) -> tuple[bytes, int]:
        """A coding about as good as the best that fits; for sizing what travels beside it.

        Args:
            fits: whether a payload of so many bytes fits.

        Returns:
            Payload and AV1 quality; the lowest where nothing fits.
        """
        level = self._guess(fits)
        (payload,) = self._payloads([level], _FINAL_SPEED)
        return payload, distinct_qualities()[level]

    def finest(self, fits: Callable[[int], bool]) -> tuple[bytes, int] | None:
        """The best coding that fits: the next finer one does not, or would not be expected to by far.

        Args:
            fits: whether a payload of so many bytes fits; false for every size above one that is refused.

        Returns:
            Payload and AV1 quality, or None when not even the lowest quality fits.
        """
        best, low, high = None, -1, len(distinct_qualities())  # fits, does not fit
        guess = self._guess(fits)
        pair = [guess, guess + 1]
        while high - low > 1 and (best is None or self._may_fit(low + 1, fits)):
            first, second = (min(max(level, low + 1), high - 1) for level in pair)
            wanted = [first, second] if second > first and self._may_fit(second, fits) else [first]
            for level, payload in zip(wanted, self._payloads(wanted, _FINAL_SPEED), strict=True):
                if not fits(len(payload)):
                    high = level
                    break
                low, best = level, (payload, distinct_qualities()[level])
            pair = [low + 1, low + 2] if low >= 0 else [high - 2, high - 1]
        return best

    def _may_fit(self, level: int, fits: Callable[[int], bool]) -> bool:
        """Whether a level may, going by its quick coding and by how the two settings last compared."""
        (quick,) = self._payloads([level], _FAST_SPEED)
        return fits(math.floor(_CAUTION * self._over_fast * len(quick)))

    def _guess(self, fits: Callable[[int], bool]) -> int:
        """Finest level that is expected to fit, or the coarsest; two sizes are asked for at a time.

        The logarithm of the size is close to linear in the level, so the second pair is mostly the answer.
        """
        wanted = math.log(max(largest(fits), 1) / self._over_fast)
        low, high = 0, len(distinct_qualities())
        sizes: dict[int, float] = {}  # logarithms, by level
        pair = [high // 3, 2 * high // 3]
        while high - low > 1:
            tried = [level for level in pair if low < level < high]
            sizes |= zip(tried, (math.log(len(p)) for p in self._payloads(tried, _FAST_SPEED)), strict=True)
            for level in tried:
                if sizes[level] <= wanted:
                    low = level
                else:
                    high = level
                    break
            middle = min(max(_crossing(sizes, wanted), low), high - 1)
            pair = [middle, middle + 1]
        return low

    def _payloads(self, levels: Sequence[int], speed: int) -> list[bytes]:
        missing = [level for level in levels if (level, speed) not in self._made]
        for level, payload in zip(missing, self._coded(missing, speed), strict=True):
            self._made[level, speed] = payload
        for level in missing:
            if speed == _FINAL_SPEED and (level, _FAST_SPEED) in self._made:
                self._over_fast = len(self._made[level, speed]) / len(self._made[level, _FAST_SPEED])
        return [self._made[level, speed] for level in levels]

    def _coded(self, levels: Sequence[int], speed: int) -> list[bytes]:
        """The encoder leaves Python's lock alone while it works, so two levels take the time of one.

        Not where one thread is all that the process may have, as in a sweep's workers.
        """

        def code(level: int) -> bytes:
            return encode(self.thumb, distinct_qualities()[level], speed)

        threads = min(len(levels), torch.get_num_threads())
        if threads < 2:
            return [code(level) for level in levels]
        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(code, levels))


def _crossing(sizes: Mapping[int, float], wanted: float) -> int:
    """Level below which a line through the two sizes nearest to the wanted one crosses it."""
    (a, size_a), (b, size_b) = sorted(sizes.items(), key=lambda item: abs(item[1] - wanted))[:2]
    return a if size_a == size_b else math.floor(a + (wanted - size_a) * (b - a) / (size_b - size_a))


def coarser(quality: int) -> int | None:
    """The next quality below that codes differently; None below the lowest."""
    below = [q for q in distinct_qualities() if q < quality]
    return below[-1] if below else None


@cache
def distinct_qualities() -> tuple[int, ...]:
    """Of the qualities that the encoder codes alike (most come in pairs), the highest; ascending."""
    noise = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    payloads = [encode(noise, q, _QUICKEST_SPEED) for q in range(MIN_QUALITY, MAX_QUALITY + 1)]
    pairs = zip(payloads, [*payloads[1:], b""], strict=True)
    return tuple(q for q, (own, finer) in enumerate(pairs, MIN_QUALITY) if own != finer)
