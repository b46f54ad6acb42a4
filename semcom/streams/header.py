"""Header stream: what the receiver must know before it can read anything else, in eight bytes."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from semcom.picture.grid import REDUCTIONS

_FORMAT = ">BHHBBB"
HEADER_VERSION = 6
_TEXTURE_BIT, _FINENESS_BIT = 4, 5  # above the grain
NUM_BYTES = struct.calcsize(_FORMAT)


class HeaderError(ValueError):
    """A header of another version."""


@dataclass(frozen=True)
class Header:
    """Fields of the header stream.

    Attributes:
        width, height: of the picture in pixels, 1–65535.
        quality: AV1 quality of the HCI, 0–63.
        reduction: of the HCI below a quarter of the picture, 1, 2 or 4.
        key_packets: packets of the key stream.
        grain: level of the film grain, 0–15 (`semcom.picture.grain`).
        fineness: of the key latents, 0–7 (`semcom.networks.key_transform`).
        has_texture, has_card, has_caption, has_words: whether the texture, a colour card, a caption and
            pseudo-words were sent.
    """

    width: int
    height: int
    quality: int
    reduction: int
    key_packets: int
    grain: int
    fineness: int
    has_texture: bool
    has_card: bool
    has_caption: bool
    has_words: bool

    def to_bytes(self) -> bytes:
        """Eight bytes, big-endian."""
        first = HEADER_VERSION << 3 | self.has_words << 2 | self.has_caption << 1 | self.has_card
        hci = REDUCTIONS.index(self.reduction) << 6 | self.quality
        fine = self.fineness << _FINENESS_BIT | self.has_texture << _TEXTURE_BIT | self.grain
        return struct.pack(_FORMAT, first, self.width, self.height, hci, self.key_packets, fine)

    @classmethod
    def from_bytes(cls, data: bytes) -> Header:
        """Inverse of `to_bytes`. Raises `HeaderError`."""
        if len(data) != NUM_BYTES or data[0] >> 3 != HEADER_VERSION:
            raise HeaderError(f"not a semantic header of version {HEADER_VERSION}: {data.hex()!r}")
        first, width, height, hci, key_packets, fine = struct.unpack(_FORMAT, data)
        flags = bool(fine >> _TEXTURE_BIT & 1), bool(first & 1), bool(first & 2), bool(first & 4)
        grain = fine & ((1 << _TEXTURE_BIT) - 1)
        if hci >> 6 >= len(REDUCTIONS):
            raise HeaderError(f"not a semantic header: unknown HCI size in {data.hex()!r}")
        fineness = fine >> _FINENESS_BIT
        return cls(width, height, hci & 63, REDUCTIONS[hci >> 6], key_packets, grain, fineness, *flags)
