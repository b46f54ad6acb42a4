"""WebP (RFC 9649): the VP8 key frame (RFC 6386) without RIFF container, start code and size.

libwebp's reader, as Pillow has it, needs the whole frame: one piece.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from semcom.baselines.codec import Codec, Pixels, read, save, whole

_EFFORT = 6
_CHUNK = struct.Struct("<4sI4s4sI")  # RIFF, size, WEBP, "VP8 ", size
_FRAME_TAG_BYTES = 3
_START_CODE = b"\x9d\x01\x2a"
_SIZE = struct.Struct("<HH")


def encode(pixels: Pixels, quality: int) -> tuple[bytes, ...]:
    """Payload of [h,w,3] uint8 at a quality of 0 to 100."""
    file = save(pixels, "WEBP", quality=quality, method=_EFFORT)
    frame = file[_CHUNK.size : _CHUNK.size + _CHUNK.unpack_from(file)[4]]
    return (frame[:_FRAME_TAG_BYTES] + frame[_FRAME_TAG_BYTES + len(_START_CODE) + _SIZE.size :],)


def decode(arrived: Sequence[bytes], sent: int, width: int, height: int) -> Pixels:
    """[h,w,3] uint8 of a payload; see `Codec.decode`."""
    payload = whole(arrived, sent)
    frame = payload[:_FRAME_TAG_BYTES] + _START_CODE + _SIZE.pack(width, height) + payload[_FRAME_TAG_BYTES:]
    padded = frame + bytes(len(frame) % 2)
    return read(
        _CHUNK.pack(b"RIFF", 12 + len(padded), b"WEBP", b"VP8 ", len(frame)) + padded, "WEBP", width, height
    )


CODEC = Codec("webp", range(101), encode, decode)
