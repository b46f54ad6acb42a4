"""AV1 intra pictures without their container; `semcom.streams.coding.av1` codes the HCI in the same way.

The frame is all or nothing: one piece.
"""

from __future__ import annotations

from collections.abc import Sequence

from semcom.baselines.codec import Codec, Pixels, whole
from semcom.streams.coding import av1

_SPEED = 2


def encode(pixels: Pixels, quality: int) -> tuple[bytes, ...]:
    """Payload of [h,w,3] uint8 at a quality of 0 to 100."""
    return (av1.encode(pixels, quality, speed=_SPEED),)


def decode(arrived: Sequence[bytes], sent: int, width: int, height: int) -> Pixels:
    """[h,w,3] uint8 of a payload; see `Codec.decode`."""
    return av1.decode(whole(arrived, sent), width, height)


CODEC = Codec("avif", range(101), encode, decode)
