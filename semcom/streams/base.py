"""Base picture: the picture in 60 to 250 bytes, shown where the HCI is lost, replaced by it where it arrives.

The HCI reduced by 2 or 4, as the lowest rates send it anyway, but of the class of the header: losing the
HCI then costs sharpness, not the picture. A byte (reduction 2 bits, AV1 quality 6 bits) precedes
the AV1 payload.
"""

from __future__ import annotations

from torch import Tensor

from semcom.message import Protection
from semcom.picture.grid import REDUCTIONS
from semcom.streams import hci
from semcom.streams.format import StreamFormat

STREAM = StreamFormat("base", Protection.CRITICAL, "base picture")
PREFIX_BYTES = 1


def encode(payload: bytes, quality: int, reduction: int) -> bytes:
    """Chunk of an AV1 payload of an HCI reduced by 2 or 4."""
    return bytes([REDUCTIONS.index(reduction) << 6 | quality]) + payload


def decode(data: bytes, width: int, height: int) -> tuple[Tensor, int]:
    """[3,h,w] in [0,1], a quarter of the picture of width × height, and its AV1 quality.

    Raises:
        IndexError: no bytes, or of a reduction that there is not.
        AV1Error: the bytes are damaged, or of a picture of another size.
    """
    return hci.decode(data[1:], width, height, REDUCTIONS[data[0] >> 6]), data[0] & 63
