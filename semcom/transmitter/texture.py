"""Texture encoder: how much finer the picture is than its HCI lets expect, as bytes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from semcom.models import texture, texture_code
from semcom.models.grid import CELL
from semcom.models.texture import Texture

_REFINE_FROM = 0.64  # octaves; more than one half, which saves more bits than it costs quality


@dataclass(frozen=True)
class Levels:
    """Texture of a picture, measured.

    Attributes:
        blocks: [1,rows,columns] per 32×32 pixels.
        cells: [1,rows,columns] per key cell.
    """

    blocks: Tensor
    cells: Tensor

    @classmethod
    def of(cls, image: Tensor, noise: float = 0.0) -> Levels:
        """Of a picture [3,H,W] in [0,1] whose sides are multiples of 16.

        Args:
            image: the picture.
            noise: of its film grain, in grey levels of luma: the receiver adds that by itself.
        """
        blocks, cells = (texture.measure(image[None], side, noise) for side in (texture.BLOCK, CELL))
        return cls(blocks, cells)


def encode(levels: Levels, coded: Tensor, quality: int) -> tuple[bytes, Texture]:
    """The stream, and what the receiver will know.

    Args:
        levels: of the picture.
        coded: [3,h,w] the HCI after AV1.
        quality: of it.
    """
    expectation = texture.expected(coded[None], torch.tensor([float(quality)]))
    surprises = texture_code.choose((levels.blocks - expectation)[0].numpy())
    sent = torch.from_numpy(surprises)[None].float()
    grid = (levels.cells.shape[1], levels.cells.shape[2])
    return texture_code.encode(surprises), texture.known(expectation, sent, grid)


def refinement(levels: Levels, known: Texture) -> NDArray[np.int64]:
    """Whole octaves [rows,columns] within ±4 by which key cells differ from what the receiver will know."""
    octaves = (levels.cells - known.level)[0]
    whole = (octaves.abs() + 1 - _REFINE_FROM).floor().clamp_max(texture.MAX_SURPRISE)
    return (octaves.sign() * whole).numpy().astype(np.int64)
