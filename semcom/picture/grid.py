"""Sizes of the chain: pictures are padded to the 16-pixel key grid, the HCI is a quarter of that."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

CELL = 16
HCI_SCALE = 4
REDUCTIONS = (1, 2, 4)  # of the HCI below that, at the lowest rates


def padded_size(width: int, height: int) -> tuple[int, int]:
    """Width and height rounded up to whole key cells."""
    return -(-width // CELL) * CELL, -(-height // CELL) * CELL


def key_grid(width: int, height: int) -> tuple[int, int]:
    """Rows and columns of the key map."""
    return -(-height // CELL), -(-width // CELL)


def hci_size(width: int, height: int) -> tuple[int, int]:
    """Width and height of the HCI."""
    padded = padded_size(width, height)
    return padded[0] // HCI_SCALE, padded[1] // HCI_SCALE


def pad_to_grid(image: Tensor) -> Tensor:
    """[3,H,W] with the last row and column repeated up to whole key cells."""
    height, width = image.shape[-2:]
    to_width, to_height = padded_size(width, height)
    return F.pad(image[None], (0, to_width - width, 0, to_height - height), mode="replicate")[0]
