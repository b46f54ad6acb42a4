"""Header stream: what the receiver must know before it can read anything else, in eight bytes."""

from __future__ import annotations

import struct
from dataclasses import dataclass

_FORMAT = ">BHHBBB"
HEADER_VERSION = 3
NUM_BYTES = struct.calcsize(_FORMAT)


class HeaderError(ValueError):
    """A header of another version."""


@dataclass(frozen=True)
class Header:
    """Fields of the header stream.

    Attributes:
        width, height: of the picture in pixels, 1–65535.
        quality: AV1 quality of the HCI, 0–63.
        key_packets: packets of the key stream.
        grain: level of the film grain, 0–15 (`semcom.models.grain`).
        has_card, has_caption, has_words: whether a colour card, a caption and pseudo-words were sent.
    """

    width: int
    height: int
    quality: int
    key_packets: int
    grain: int
    has_card: bool
    has_caption: bool
    has_words: bool

    def to_bytes(self) -> bytes:
        """Eight bytes, big-endian."""
        first = HEADER_VERSION << 3 | self.has_words << 2 | self.has_caption << 1 | self.has_card
        return struct.pack(
            _FORMAT, first, self.width, self.height, self.quality, self.key_packets, self.grain
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> Header:
        """Inverse of `to_bytes`. Raises `HeaderError`."""
        if len(data) != NUM_BYTES or data[0] >> 3 != HEADER_VERSION:
            raise HeaderError(f"not a semantic header of version {HEADER_VERSION}: {data.hex()!r}")
        first, width, height, quality, key_packets, grain = struct.unpack(_FORMAT, data)
        flags = bool(first & 1), bool(first & 2), bool(first & 4)
        return cls(width, height, quality, key_packets, grain, *flags)
