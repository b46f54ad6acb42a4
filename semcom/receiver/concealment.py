"""What stands in for streams that were lost."""

from __future__ import annotations

import torch
from torch import Tensor

from semcom.models import card
from semcom.models.grid import padded_size

GREY = 0.5


def grey_picture(width: int, height: int) -> Tensor:
    """[3,H,W] mid-grey: nothing is known about the picture but its size."""
    return torch.full((3, height, width), GREY)


def from_card(data: bytes | None, width: int, height: int) -> Tensor:
    """Smooth picture [3,H',W'] on the padded grid from the colour card, grey without one."""
    padded_width, padded_height = padded_size(width, height)
    if data is None:
        return grey_picture(padded_width, padded_height)
    return card.decode(data, height, width, (padded_height, padded_width))
