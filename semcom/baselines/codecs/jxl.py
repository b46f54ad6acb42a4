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


def encode(pixels: Pixels, quality: int, quick: bool = False) -> tuple[bytes, ...]:
    """Payload of [h,w,3] uint8; quality 0 is the encoder's largest distance, 25, halved every 8 steps."""
    distance = _LARGEST_DISTANCE * 2 ** (-quality / _STEPS_A_HALVING)
    file = imagecodecs.jpegxl_encode(
        pixels, distance=distance, effort=_EFFORT, usecontainer=False, numthreads=1
    )
    return (bytes(file).removeprefix(_SIGNATURE),)


def decode(arrived: Sequence[bytes], sent: int, width: int, height: int) -> Pixels:
    """[h,w,3] uint8 of a payload; see `Codec.decode`."""
    payload = whole(arrived, sent)
    try:
        pixels = imagecodecs.jpegxl_decode(_SIGNATURE + payload, numthreads=1)
    except (RuntimeError, ValueError) as error:
        raise CodecError(f"damaged JPEG XL payload: {error}") from error
    return sized(pixels, width, height)


CODEC = Codec("jxl", range(65), encode, decode)
