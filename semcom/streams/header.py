"""Header stream: what the receiver must know before it can read anything else, in eight bytes.

    version 5 │ width−1 14 │ height−1 14 │ HCI: reduction 2, quality 6 │ presence 8 │
    key packets 8 │ fineness 3 │ grain 4

In bits, most significant first. `presence` is a bitmap over the other streams (`semcom.streams.presence`).
"""

from __future__ import annotations

from dataclasses import dataclass

from semcom.message import Protection
from semcom.picture.grid import REDUCTIONS
from semcom.streams.format import StreamFormat

STREAM = StreamFormat("header", Protection.CRITICAL, "header", "grey picture")
HEADER_VERSION = 8
NUM_BYTES = 8
MAX_SIDE = 1 << 14
_WIDTHS = (5, 14, 14, 2, 6, 8, 8, 3, 4)


class HeaderError(ValueError):
    """A header of another version, or a picture too large for one."""


@dataclass(frozen=True)
class Header:
    """Fields of the header stream.

    Attributes:
        width, height: of the picture in pixels, 1–16384.
        quality: AV1 quality of the HCI, 0–63.
        reduction: of the HCI below a quarter of the picture, 1, 2 or 4.
        presence: bitmap of the streams that were sent beside the header, 0–255.
        key_packets: packets of the key stream, 0–255.
        fineness: of the key latents, 0–7 (`semcom.networks.key_transform`).
        grain: level of the film grain, 0–15 (`semcom.picture.grain`).
    """

    width: int
    height: int
    quality: int
    reduction: int
    presence: int
    key_packets: int
    fineness: int
    grain: int

    def to_bytes(self) -> bytes:
        """Eight bytes, big-endian. Raises `HeaderError` for a side of more than 16384 pixels."""
        if not (0 < self.width <= MAX_SIDE and 0 < self.height <= MAX_SIDE):
            raise HeaderError(
                f"a picture of {self.width}x{self.height} pixels cannot be sent: the limit is {MAX_SIDE}"
            )
        size = self.width - 1, self.height - 1
        hci = REDUCTIONS.index(self.reduction), self.quality
        fields = HEADER_VERSION, *size, *hci, self.presence, self.key_packets, self.fineness, self.grain
        word = 0
        for value, bits in zip(fields, _WIDTHS, strict=True):
            word = word << bits | value
        return word.to_bytes(NUM_BYTES, "big")

    @classmethod
    def from_bytes(cls, data: bytes) -> Header:
        """Inverse of `to_bytes`. Raises `HeaderError`."""
        if len(data) != NUM_BYTES or data[0] >> 3 != HEADER_VERSION:
            raise HeaderError(
                f"not a semantic header of version {HEADER_VERSION}: {data[:NUM_BYTES].hex()!r}"
            )
        word, fields = int.from_bytes(data, "big"), []
        for bits in reversed(_WIDTHS):
            fields.append(word & ((1 << bits) - 1))
            word >>= bits
        _, width, height, reduction, quality, presence, key_packets, fineness, grain = reversed(fields)
        if reduction >= len(REDUCTIONS):
            raise HeaderError(f"not a semantic header: unknown HCI size in {data.hex()!r}")
        return cls(
            width + 1, height + 1, quality, REDUCTIONS[reduction], presence, key_packets, fineness, grain
        )
