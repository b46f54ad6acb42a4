"""Patches: faces, words and signs as small AV1 pictures of their own, at the picture's scale or half of it.

Key latents refine a picture of a quarter of the size, in which letters and small faces are hardly there; a
sail number takes a hundred bytes of AV1 to be read right. One chunk a patch, each to be read by itself: it
replaces what the receiver made there, faded in over a few pixels.

    x 11 │ y 11 │ width 8 │ height 8 │ scale 2 │ AV1 payload

In bits, most significant first; places and sides in units of 8 pixels, sides less one; scale 0 is the
picture's own, 1 half of it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from semcom.message import Protection, Reconstruction
from semcom.picture.grid import CELL
from semcom.picture.pixels import to_tensor
from semcom.streams.coding import av1
from semcom.streams.format import Chunks, ExtraStream

UNIT = 8
"""Pixels that places and sides are multiples of."""
SCALES = (1, 2)
"""By how much a patch may be reduced."""
_WIDTHS = (11, 11, 8, 8, 2)
_HEAD_BYTES = 5
_FADE = 4  # pixels
MOST_UNITS = 1 << _WIDTHS[2]


@dataclass(frozen=True)
class Place:
    """Where a patch is, in pixels, multiples of 8 within the picture, and how it is reduced, 1 or 2."""

    x: int
    y: int
    width: int
    height: int
    reduction: int = 1

    @property
    def sent_size(self) -> tuple[int, int]:
        """Width and height of the coded picture."""
        return self.width // self.reduction, self.height // self.reduction

    def cut(self, image: Tensor) -> Tensor:
        """[3,height,width] of a picture [3,H,W]."""
        return image[:, self.y : self.y + self.height, self.x : self.x + self.width]


def encode(place: Place, payload: bytes) -> bytes:
    """Chunk of a patch: its place and its AV1 payload."""
    units = place.x // UNIT, place.y // UNIT, place.width // UNIT - 1, place.height // UNIT - 1
    word = 0
    for value, bits in zip((*units, SCALES.index(place.reduction)), _WIDTHS, strict=True):
        word = word << bits | value
    return word.to_bytes(_HEAD_BYTES, "big") + payload


def decode(chunk: bytes) -> tuple[Place, Tensor]:
    """Place and picture [3,height,width] in [0,1] of a chunk.

    Raises:
        ValueError: the bytes are damaged.
        IndexError: of a scale that there is not.
    """
    word, values = int.from_bytes(chunk[:_HEAD_BYTES], "big"), []
    for bits in reversed(_WIDTHS):
        values.append(word & ((1 << bits) - 1))
        word >>= bits
    scale, height, width, y, x = values
    place = Place(x * UNIT, y * UNIT, (width + 1) * UNIT, (height + 1) * UNIT, SCALES[scale])
    coded = to_tensor(av1.decode(chunk[_HEAD_BYTES:], *place.sent_size))
    return place, enlarged(coded, place)


def enlarged(coded: Tensor, place: Place) -> Tensor:
    """[3,height,width] of a coded patch, the same on every machine to a 1/255."""
    if place.reduction == 1:
        return coded
    size = place.height, place.width
    return F.interpolate(coded[None].double(), size, mode="bicubic")[0].clamp(0, 1).float()


def paste(image: Tensor, place: Place, patch: Tensor) -> Tensor:
    """Picture [3,H,W] with a patch in place of what is there; it fades in from its border.

    Raises:
        ValueError: it does not lie within the picture.
    """
    height, width = (min(place.height, image.shape[1] - place.y), min(place.width, image.shape[2] - place.x))
    if height <= place.height - UNIT or width <= place.width - UNIT:
        raise ValueError("a patch outside the picture")
    rows = _ramp(place.y, height, image.shape[1])
    columns = _ramp(place.x, width, image.shape[2])
    weight = rows[:, None] * columns
    result = image.clone()
    there = result[:, place.y : place.y + height, place.x : place.x + width]
    there.copy_(torch.lerp(there, patch[:, :height, :width], weight))
    return result


def _ramp(start: int, length: int, whole: int) -> Tensor:
    """[length] weights that rise from either end, but not from a border of the picture."""
    place = torch.arange(length)
    low = place + 1 if start else torch.full_like(place, _FADE)
    high = length - place if start + length < whole else torch.full_like(place, _FADE)
    return (torch.minimum(low, high) / _FADE).clamp(max=1)


def _shown(chunks: Chunks, result: Reconstruction) -> Reconstruction:
    image = result.image
    received = torch.zeros(1) if result.received is None else result.received.clone()
    for chunk in chunks:
        if chunk is not None:
            place, patch = decode(chunk)
            image = paste(image, place, patch)
            if received.ndim == 2:
                first, last = (
                    (place.y // CELL, place.x // CELL),
                    (place.y + place.height, place.x + place.width),
                )
                received[first[0] : -(-last[0] // CELL), first[1] : -(-last[1] // CELL)] = 1
    return replace(result, image=image, received=received if received.ndim == 2 else result.received)


STREAM = ExtraStream("patches", Protection.DETAIL, "patch", decode=_shown)
