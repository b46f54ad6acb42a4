"""The HCI as both ends see it: decoded, and enlarged to a quarter of the picture where it was sent smaller.

Where a budget does not hold even the coarsest one, the HCI travels reduced by 2 or 4.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from semcom.message import Protection
from semcom.picture.grid import hci_size
from semcom.picture.pixels import to_tensor
from semcom.streams.coding import av1
from semcom.streams.format import StreamFormat

STREAM = StreamFormat("hci", Protection.BASE, "HCI")

_STEPS = 2**16  # enlarged values are rounded to: both ends and every processor see the same


def sent_size(width: int, height: int, reduction: int) -> tuple[int, int]:
    """Width and height of the AV1 picture for a picture of width × height."""
    hci_width, hci_height = hci_size(width, height)
    return -(-hci_width // reduction), -(-hci_height // reduction)


def decode(payload: bytes, width: int, height: int, reduction: int) -> Tensor:
    """[3,h,w] in [0,1], a quarter of the picture of width × height.

    Raises:
        AV1Error: the bytes are damaged, or of a picture of another size.
    """
    coded = to_tensor(av1.decode(payload, *sent_size(width, height, reduction)))
    if reduction == 1:
        return coded
    size = hci_size(width, height)[::-1]
    enlarged = F.interpolate(coded[None].double(), size, mode="bicubic", align_corners=False)[0].clamp(0, 1)
    return ((enlarged * _STEPS).round() / _STEPS).float()
