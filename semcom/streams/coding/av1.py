"""AV1 still pictures without their container: the bytes of the highly compressed image (HCI).

An AVIF file is about 275 bytes of boxes around one coded frame. For a known size and a fixed encoder
setting the boxes carry no information, so only the frame travels; the receiver wraps it again and any
AV1 decoder reads it, bit-exactly on every machine (AV1 specification, section 7.1).

    payload = flag (1) │ [sequence header OBU, when not an expected one] │ frame OBU body

The sequence header too follows from the size and the encoder setting. It is left out when it equals
one of the two rebuilt from the size (with loop filters and without), which the flag says.
"""

from __future__ import annotations

import io
import struct

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SUBSAMPLING = "4:2:0"
_TEMPORAL_DELIMITER = b"\x12\x00"
_SEQUENCE_HEADER, _FRAME = 0x0A, 0x32
# What a receiver that restores the picture makes up for better than the bits that these would cost.
_FOR_RESTORATION = {
    "enable-cdef": "0",
    "enable-restoration": "0",
    "min-partition-size": "8",
    "sharpness": "4",
    "deltaq-mode": "0",  # steps that differ from block to block: their signalling costs more than they win
}
_REDUCED_STILL = 0b00011  # the first five bits: profile 0, still picture, reduced header
_UNFILTERED, _CARRIED, _FILTERED = b"\x00", b"\x01", b"\x02"
# Tools and colour description after the size in the sequence header, as libaom writes them for one
# 4:2:0 full-range still picture (AV1 specification 5.5.1, reduced_still_picture_header). The fifth and
# sixth bit are the loop filters CDEF and restoration, the last 1 is the trailing bit.
_SEQUENCE_TAILS = {
    _UNFILTERED: "011000001000000010000110100000110100001",
    _FILTERED: "011011001000000010000110100000110100001",
}


class AV1Error(ValueError):
    """The bytes are not a coded picture of the announced size."""


def encode(picture: NDArray[np.uint8], quality: int, speed: int = 2, for_restoration: bool = False) -> bytes:
    """Code one picture.

    Args:
        picture: [h,w,3] uint8 RGB.
        quality: 0 (smallest) to 63 and beyond, Pillow's AVIF scale of 0–100.
        speed: libaom's effort, 0 (slowest) to 10; 2 is 8 % smaller than 6 at equal PSNR.
        for_restoration: without CDEF, loop restoration and blocks of 4 pixels, and sharper; True for a
            receiver that restores the picture by a network.

    Returns:
        The payload that `decode` reads.
    """
    buffer = io.BytesIO()
    Image.fromarray(picture).save(
        buffer,
        "AVIF",
        quality=quality,
        speed=speed,
        subsampling=SUBSAMPLING,
        codec="aom",
        max_threads=1,
        advanced=_FOR_RESTORATION if for_restoration else None,
    )
    height, width = picture.shape[:2]
    sequence, frame = _split(_mdat(buffer.getvalue()))
    for flag in _SEQUENCE_TAILS:
        if sequence == _expected_sequence_header(flag, width, height):
            return flag + frame
    return _CARRIED + bytes([len(sequence)]) + sequence + frame


def decode(payload: bytes, width: int, height: int) -> NDArray[np.uint8]:
    """Picture [h,w,3] uint8 RGB of a payload.

    Raises:
        AV1Error: the bytes are damaged, or of a picture of another size.
    """
    if payload[:1] in _SEQUENCE_TAILS:
        sequence, frame = _expected_sequence_header(payload[:1], width, height), payload[1:]
    elif payload[:1] == _CARRIED and len(payload) > 2:
        sequence, frame = payload[2 : 2 + payload[1]], payload[2 + payload[1] :]
        if sequence[0] >> 3 != _REDUCED_STILL or _size_in(sequence) != (width, height):
            raise AV1Error(f"HCI payload is not of a picture of {width}x{height} pixels")
    else:
        raise AV1Error("not an HCI payload: unknown first byte")
    stream = _obu(_SEQUENCE_HEADER, sequence) + _obu(_FRAME, frame)
    try:
        avif = io.BytesIO(_container(_TEMPORAL_DELIMITER + stream, width, height))
        with Image.open(avif, formats=("AVIF",)) as picture:
            return np.asarray(picture.convert("RGB"))
    except (OSError, ValueError, EOFError, RuntimeError) as error:
        raise AV1Error(f"damaged HCI payload: {error}") from error


def _mdat(avif: bytes) -> bytes:
    offset = 0
    while offset < len(avif):
        size, kind = struct.unpack_from(">I4s", avif, offset)
        if kind == b"mdat":
            return avif[offset + 8 : offset + size]
        offset += size
    raise AV1Error("the AVIF writer produced no media data")


def _split(stream: bytes) -> tuple[bytes, bytes]:
    """Bodies of the sequence header and of the frame in a stream of size-prefixed OBUs."""
    bodies, offset = {}, 0
    while offset < len(stream):
        header = stream[offset]
        size, length = _read_leb128(stream, offset + 1)
        start = offset + 1 + length
        bodies[header] = stream[start : start + size]
        offset = start + size
    return bodies[_SEQUENCE_HEADER], bodies[_FRAME]


def _obu(header: int, body: bytes) -> bytes:
    size, prefix = len(body), bytearray()
    while True:
        prefix.append((size & 0x7F) | (0x80 if size > 0x7F else 0))
        size >>= 7
        if not size:
            return bytes([header]) + bytes(prefix) + body


def _read_leb128(stream: bytes, offset: int) -> tuple[int, int]:
    value = length = 0
    while True:
        byte = stream[offset + length]
        value |= (byte & 0x7F) << (7 * length)
        length += 1
        if byte < 0x80:
            return value, length


def _size_in(sequence: bytes) -> tuple[int, int] | None:
    """Width and height that a sequence header names (AV1 specification 5.5.1); None when it is cut short."""
    bits = "".join(f"{byte:08b}" for byte in sequence)[10:]  # after profile, flags and level
    if len(bits) < 8:
        return None
    w_bits, h_bits = int(bits[:4], 2) + 1, int(bits[4:8], 2) + 1
    width, height = bits[8 : 8 + w_bits], bits[8 + w_bits : 8 + w_bits + h_bits]
    return (int(width, 2) + 1, int(height, 2) + 1) if len(height) == h_bits else None


def _expected_sequence_header(flag: bytes, width: int, height: int) -> bytes:
    w_bits, h_bits = (width - 1).bit_length() or 1, (height - 1).bit_length() or 1
    bits = (
        "000" "1" "1"  # profile 0, still picture, reduced header
        "00000"  # level 2.0, which every HCI up to 147 456 pixels has
        f"{w_bits - 1:04b}{h_bits - 1:04b}{width - 1:0{w_bits}b}{height - 1:0{h_bits}b}"
    ) + _SEQUENCE_TAILS[flag]  # fmt: skip
    bits += "0" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


def _container(stream: bytes, width: int, height: int) -> bytes:
    """The AVIF file (ISO/IEC 23000-22) with one item that holds `stream`."""

    def box(kind: bytes, body: bytes, version_flags: bytes = b"") -> bytes:
        return struct.pack(">I4s", 8 + len(version_flags) + len(body), kind) + version_flags + body

    full = bytes(4)
    ftyp = box(b"ftyp", b"avif" + bytes(4) + b"avifmif1miafMA1B")
    properties = (
        box(b"ispe", struct.pack(">II", width, height), full)
        + box(b"pixi", b"\x03\x08\x08\x08", full)
        + box(b"av1C", b"\x81\x00\x0c\x00")
        + box(b"colr", b"nclx" + struct.pack(">HHHB", 1, 13, 6, 0x80))
    )
    association = struct.pack(">IHB", 1, 1, 4) + b"\x01\x02\x83\x04"
    entry = box(b"infe", struct.pack(">HH", 1, 0) + b"av01" + b"Color\x00", b"\x02\x00\x00\x00")

    def meta(offset: int) -> bytes:
        location = b"\x44\x00" + struct.pack(">HHHHII", 1, 1, 0, 1, offset, len(stream))
        return box(
            b"meta",
            box(b"hdlr", bytes(4) + b"pict" + bytes(13), full)
            + box(b"pitm", struct.pack(">H", 1), full)
            + box(b"iloc", location, full)
            + box(b"iinf", struct.pack(">H", 1) + entry, full)
            + box(b"iprp", box(b"ipco", properties) + box(b"ipma", association, full)),
            full,
        )

    offset = len(ftyp) + len(meta(0)) + 8
    return ftyp + meta(offset) + box(b"mdat", stream)
