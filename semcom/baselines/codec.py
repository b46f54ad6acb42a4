"""What a classical image codec is here: pixels to pieces of payload, and back from the first of them."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]

SCALES = (1, 2, 3, 4, 6, 8, 12, 16)
SUBSAMPLING = "4:2:0"
_PIECE_BYTES = 400  # 5 bytes of packet header and CRC are little of it, and a loss does not cost much
_MAX_PIECES = 1000


class CodecError(ValueError):
    """The bytes are no picture of the announced size, or too few of them arrived."""


@dataclass(frozen=True)
class Codec:
    """An image codec with a quality scale.

    Attributes:
        name: of the system.
        qualities: from the smallest to the largest payload.
        encode: payload of [h,w,3] uint8 at a quality, in one or more pieces.
        decode: [h,w,3] uint8 of the pieces that arrived, the number that were sent, width and height.
            Gets as much of the beginning as arrived in one go, at least one piece. Raises `ValueError` on
            damaged bytes, or where the format cannot do with less than everything.
    """

    name: str
    qualities: range
    encode: Callable[[Pixels, int], tuple[bytes, ...]]
    decode: Callable[[Sequence[bytes], int, int, int], Pixels]


def pieces(payload: bytes) -> tuple[bytes, ...]:
    """A payload that decodes from any beginning, cut for packets that are lost one by one."""
    size = max(_PIECE_BYTES, -(-len(payload) // _MAX_PIECES))
    return tuple(payload[start : start + size] for start in range(0, len(payload), size)) or (b"",)


def whole(arrived: Sequence[bytes], sent: int) -> bytes:
    """The payload of a format that cannot do with less. Raises `CodecError` when a piece is missing."""
    if len(arrived) < sent:
        raise CodecError(f"only {len(arrived)} of {sent} pieces arrived")
    return b"".join(arrived)


def save(pixels: Pixels, kind: str, **options: object) -> bytes:
    """A file by Pillow's writer of that kind."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def read(file: bytes, kind: str, width: int, height: int) -> Pixels:
    """[h,w,3] uint8 by Pillow's reader of that kind. Raises `CodecError`: damaged, or of another size."""
    try:
        with Image.open(io.BytesIO(file), formats=(kind,)) as picture:
            if picture.size != (width, height):  # before any pixel is decoded
                raise CodecError(f"payload is not a picture of {width}x{height} pixels")
            return sized(np.asarray(picture.convert("RGB")), width, height)
    except CodecError:
        raise
    except (OSError, ValueError, SyntaxError, EOFError, RuntimeError) as error:
        raise CodecError(f"damaged {kind} payload: {error}") from error


def sized(pixels: Pixels, width: int, height: int) -> Pixels:
    """The picture itself. Raises `CodecError` when it is not of that size."""
    if pixels.shape != (height, width, 3):
        raise CodecError(f"payload is not a picture of {width}x{height} pixels")
    return pixels


def grey(width: int, height: int) -> Pixels:
    """A picture whose file has the same headers as any other's of that size and setting."""
    return np.full((height, width, 3), 128, np.uint8)
