"""What stands in for streams that were lost."""

from __future__ import annotations

import torch
from torch import Tensor

from semcom.streams import card
from semcom.streams.tables import StreamTables

GREY = 0.5


def grey_picture(width: int, height: int) -> Tensor:
    """[3,H,W] mid-grey: nothing is known about the picture but its size."""
    return torch.full((3, height, width), GREY)


def from_card(
    data: bytes | None, width: int, height: int, size: tuple[int, int], tables: StreamTables
) -> Tensor:
    """Smooth picture [3,*size] from the colour card of a width × height picture, grey without one."""
    if data is None:
        return grey_picture(size[1], size[0])
    return card.decode(data, height, width, size, tables)
