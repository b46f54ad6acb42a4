"""JPEG XL (ISO/IEC 18181) as a bare codestream without its two signature bytes.

The decoder of `imagecodecs` shows nothing of an unfinished picture, though the format could: one piece.
"""

from __future__ import annotations

from collections.abc import Sequence

import imagecodecs

from semcom.baselines.codec import Codec, CodecError, Pixels, sized, whole

_SIGNATURE = b"\xff\x0a"
_EFFORT = 7
_LARGEST_DISTANCE = 25.0
_STEPS_A_HALVING = 8
_SIZE_BYTES = 9  # at most 1 + 32 + 3 + 32 bits
_SIDE_BITS = (9, 13, 18, 30)
_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))  # width to height


def encode(pixels: Pixels, quality: int) -> tuple[bytes, ...]:
    """Payload of [h,w,3] uint8; quality 0 is the encoder's largest distance, 25, halved every 8 steps."""
    distance = _LARGEST_DISTANCE * 2 ** (-quality / _STEPS_A_HALVING)
    file = imagecodecs.jpegxl_encode(
        pixels, distance=distance, effort=_EFFORT, usecontainer=False, numthreads=1
    )
    return (bytes(file).removeprefix(_SIGNATURE),)


def decode(arrived: Sequence[bytes], sent: int, width: int, height: int) -> Pixels:
    """[h,w,3] uint8 of a payload; see `Codec.decode`."""
    payload = whole(arrived, sent)
    if _size_in(payload) != (width, height):  # before anything of that size is decoded
        raise CodecError(f"payload is not a picture of {width}x{height} pixels")
    try:
        pixels = imagecodecs.jpegxl_decode(_SIGNATURE + payload, numthreads=1)
    except (RuntimeError, ValueError) as error:
        raise CodecError(f"damaged JPEG XL payload: {error}") from error
    return sized(pixels, width, height)


def _size_in(payload: bytes) -> tuple[int, int]:
    """Width and height of the codestream's SizeHeader (ISO/IEC 18181-1, D.2), the lowest bits first."""
    bits, place = int.from_bytes(payload[:_SIZE_BYTES], "little"), 0

    def take(count: int) -> int:
        nonlocal place
        place += count
        return bits >> (place - count) & ((1 << count) - 1)

    eighths = take(1)

    def side() -> int:
        return 8 * (take(5) + 1) if eighths else take(_SIDE_BITS[take(2)]) + 1

    height = side()
    ratio = take(3)
    if not ratio:
        return side(), height
    above, below = _RATIOS[ratio - 1]
    return height * above // below, height


CODEC = Codec("jxl", range(65), encode, decode)
