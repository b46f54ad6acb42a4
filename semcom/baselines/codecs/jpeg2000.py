"""JPEG 2000 (ITU-T T.800) as a bare codestream without its main header, in quality layers.

The main header follows from size, settings and number of layers, so the receiver rebuilds it. A layer is a
piece: what arrived of the first ones decodes, and the rest of the codestream is filled up with empty
packets (B.9), one zero byte each, which is what a truncated decode means in this standard.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from functools import lru_cache

from semcom.baselines.codec import Codec, CodecError, Pixels, grey, read, save

_LEVELS, _COMPONENTS = 5, 3
_LAYER_STEP_DB = 4.0
_NUM_LAYERS = (1, 3)
_LAYERED_BYTES = 1200  # below it the packet headers of several layers cost too much
_TILE_PART, _LENGTHS, _DATA, _END = 0xFF90, 0xFF58, b"\xff\x93", b"\xff\xd9"
_TILE_HEADER = struct.Struct(">HHHIBB")


def encode(pixels: Pixels, quality: int) -> tuple[bytes, ...]:
    """Layers of [h,w,3] uint8; quality is the PSNR of the last layer in quarters of a dB."""
    target = quality / 4
    layers = _layers(pixels, (target,))
    if len(layers[0]) > _LAYERED_BYTES:
        layers = _layers(pixels, (target - 2 * _LAYER_STEP_DB, target - _LAYER_STEP_DB, target))
    return layers


def decode(arrived: Sequence[bytes], sent: int, width: int, height: int) -> Pixels:
    """[h,w,3] uint8 of the first layers; see `Codec.decode`."""
    if sent not in _NUM_LAYERS:
        raise CodecError(f"{sent} pieces, where a picture has {' or '.join(map(str, _NUM_LAYERS))}")
    empty = bytes((sent - len(arrived)) * _packets_a_layer(width, height))
    data = b"".join(arrived) + empty
    length = _TILE_HEADER.size + len(_DATA) + len(data)
    tile = _TILE_HEADER.pack(_TILE_PART, 10, 0, length, 0, 1) + _DATA + data
    return read(_main_header(width, height, sent) + tile + _END, "JPEG2000", width, height)


def _layers(pixels: Pixels, psnrs_db: Sequence[float]) -> tuple[bytes, ...]:
    file = _file(pixels, psnrs_db)
    height, width = pixels.shape[:2]
    start = file.index(_DATA) + len(_DATA)
    sizes = list(_packet_lengths(file))
    count = _packets_a_layer(width, height)
    layers = []
    for first in range(0, len(sizes), count):
        size = sum(sizes[first : first + count])
        layers.append(file[start : start + size])
        start += size
    return tuple(layers)


def _file(pixels: Pixels, psnrs_db: Sequence[float]) -> bytes:
    height, width = pixels.shape[:2]
    return save(
        pixels,
        "JPEG2000",
        no_jp2=True,
        quality_mode="dB",
        quality_layers=list(psnrs_db),
        num_resolutions=_levels(width, height) + 1,
        irreversible=True,
        mct=1,
        progression="LRCP",
        plt=True,
    )


def _packet_lengths(file: bytes) -> Iterator[int]:
    """Lengths in the PLT marker segments (A.7.3): seven bits a byte, the top one says that more follow."""
    position, value = file.index(struct.pack(">H", _TILE_PART)) + _TILE_HEADER.size, 0
    while struct.unpack_from(">H", file, position)[0] == _LENGTHS:
        (size,) = struct.unpack_from(">H", file, position + 2)
        for byte in file[position + 5 : position + 2 + size]:
            value = value << 7 | byte & 0x7F
            if byte < 0x80:
                yield value
                value = 0
        position += 2 + size


@lru_cache(maxsize=256)
def _main_header(width: int, height: int, num_layers: int) -> bytes:
    file = _file(grey(width, height), range(20, 20 + num_layers))
    return file[: file.index(struct.pack(">H", _TILE_PART))]


def _packets_a_layer(width: int, height: int) -> int:
    return (_levels(width, height) + 1) * _COMPONENTS


def _levels(width: int, height: int) -> int:
    """Wavelet levels: five, fewer where the lowest band would have a side shorter than four."""
    return min(_LEVELS, max(0, min(width, height).bit_length() - 3))


CODEC = Codec("jpeg2000", range(40, 241), encode, decode)
