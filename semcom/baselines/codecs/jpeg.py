"""JPEG (ITU-T T.81) without what the receiver knows: markers, quantisation tables, standard Huffman tables.

    payload = mode (1 bit) │ quality (7 bits) │ entropy-coded data

The sequential mode uses the standard's Huffman tables, which then need not be sent; the progressive mode
carries its own tables and scan headers and pays off in larger payloads. The encoder takes the shorter one.
Both decode from any beginning: sequential from the top down, progressive from coarse to fine.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import lru_cache

from semcom.baselines.codec import SUBSAMPLING, Codec, CodecError, Pixels, grey, pieces, read, save

_START, _START_OF_SCAN, _PROGRESSIVE_FRAME, _END = b"\xff\xd8", b"\xff\xda", b"\xff\xc2", b"\xff\xd9"
_PROGRESSIVE = 0x80


def encode(pixels: Pixels, quality: int) -> tuple[bytes, ...]:
    """Pieces of the payload of [h,w,3] uint8 at a quality of 1 to 100."""
    mode = min((0, _PROGRESSIVE), key=lambda mode: len(_entropy_coded(pixels, quality, mode)))
    return pieces(bytes([mode | quality]) + _entropy_coded(pixels, quality, mode))


def decode(arrived: Sequence[bytes], sent: int, width: int, height: int) -> Pixels:
    """[h,w,3] uint8 of the payload's beginning; see `Codec.decode`."""
    payload = b"".join(arrived)
    if not payload:
        raise CodecError("empty JPEG payload")
    mode, quality = payload[0] & _PROGRESSIVE, payload[0] & ~_PROGRESSIVE
    if not 1 <= quality <= 100:
        raise CodecError(f"damaged JPEG payload: quality {quality}")
    return read(_header(quality, mode, width, height) + payload[1:] + _END, "JPEG", width, height)


def _entropy_coded(pixels: Pixels, quality: int, mode: int) -> bytes:
    file = _file(pixels, quality, mode)
    return file[_header_end(file, mode) : -len(_END)]


def _file(pixels: Pixels, quality: int, mode: int) -> bytes:
    return save(pixels, "JPEG", quality=quality, subsampling=SUBSAMPLING, progressive=bool(mode))


@lru_cache(maxsize=256)
def _header(quality: int, mode: int, width: int, height: int) -> bytes:
    """What every file of that size and quality begins with."""
    file = _file(grey(width, height), quality, mode)
    return file[: _header_end(file, mode)]


def _header_end(file: bytes, mode: int) -> int:
    """Up to the first bytes that depend on the picture: after the scan's header, or the frame's.

    From segment to segment (B.1.1.4): the bytes of a marker also occur inside of quantisation tables.
    """
    last, position = _PROGRESSIVE_FRAME if mode else _START_OF_SCAN, len(_START)
    while True:
        marker = file[position : position + 2]
        position += 2 + int(struct.unpack_from(">H", file, position + 2)[0])
        if marker == last:
            return position


CODEC = Codec("jpeg", range(1, 101), encode, decode)
