"""HEVC intra (ITU-T H.265, the coding of BPG and HEIC): the slice alone, by x265.

A HEIC file of one size differs from another of that size in its slice and in two lengths; the parameter
sets are the same at every quality. So the receiver codes a grey picture, and puts the slice into that file.
The slice is all or nothing: one piece.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import pillow_heif

from semcom.baselines.codec import Codec, CodecError, Pixels, grey, sized, whole

_CHROMA = 420
_LENGTH = struct.Struct(">I")
_NAL_HEADER_BYTES = 2


def encode(pixels: Pixels, quality: int) -> tuple[bytes, ...]:
    """Payload of [h,w,3] uint8 at a quality of 0 to 100."""
    file = _file(pixels, quality)
    return (file[_slice_start(file) + _LENGTH.size + _NAL_HEADER_BYTES :],)


def decode(arrived: Sequence[bytes], sent: int, width: int, height: int) -> Pixels:
    """[h,w,3] uint8 of a payload; see `Codec.decode`."""
    payload = whole(arrived, sent)
    try:
        picture = pillow_heif.open_heif(io.BytesIO(rebuild(payload, width, height)))
        return sized(np.asarray(picture)[..., :3], width, height)
    except (OSError, ValueError, EOFError, RuntimeError, SyntaxError) as error:
        raise CodecError(f"damaged HEVC payload: {error}") from error


def rebuild(payload: bytes, width: int, height: int) -> bytes:
    """The whole HEIC file of a payload."""
    file = _template(width, height)
    start = _slice_start(file)
    nal_header = file[start + _LENGTH.size : start + _LENGTH.size + _NAL_HEADER_BYTES]
    data = _LENGTH.pack(len(nal_header) + len(payload)) + nal_header + payload
    media_box = start - 8
    extent_end = file.index(b"iloc") - 4 + _LENGTH.unpack_from(file, file.index(b"iloc") - 4)[0]
    boxes = (
        file[: extent_end - _LENGTH.size]  # the last field of iloc is the length of the only item
        + _LENGTH.pack(len(data))
        + file[extent_end:media_box]
    )
    return boxes + _LENGTH.pack(8 + len(data)) + b"mdat" + data


def _file(pixels: Pixels, quality: int) -> bytes:
    buffer = io.BytesIO()
    height, width = pixels.shape[:2]
    picture = pillow_heif.from_bytes("RGB", (width, height), pixels.tobytes())
    picture.save(buffer, quality=quality, chroma=_CHROMA)
    return buffer.getvalue()


@lru_cache(maxsize=256)
def _template(width: int, height: int) -> bytes:
    return _file(grey(width, height), 0)


def _slice_start(file: bytes) -> int:
    return file.index(b"mdat") + 4


CODEC = Codec("hevc", range(101), encode, decode)
