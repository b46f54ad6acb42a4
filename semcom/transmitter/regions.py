"""Key regions: which 16×16-pixel cells of a photo get detail latents."""

from __future__ import annotations

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from semcom.models.grid import CELL

_SALIENT = 0.5
_CORE_CELLS = 7  # window of the average that finds the middle of an object


class SaliencyNetwork(Protocol):
    """What tells the important pixels from the others."""

    def saliency(self, image: Tensor) -> Tensor:
        """[H,W] float in [0,1] of a picture [3,H,W] in [0,1]."""
        ...


class RegionSelector:
    """Chooses the key cells of a photo.

    Args:
        net: finds the salient objects; not asked when the user gives a mask.
    """

    def __init__(self, net: SaliencyNetwork) -> None:
        self._net = net

    def select(self, image: Tensor, key_area: float | None = 0.3, user_mask: Tensor | None = None) -> Tensor:
        """Key map of a photo.

        Args:
            image: [3,H,W] float in [0,1].
            key_area: largest share of the cells that may be key, 0 to 1; None for no limit. Where the
                salient objects are larger, their middle is kept.
            user_mask: [H,W] bool, taken as it is: a cell is key when any of its pixels is. Replaces the
                saliency and the limit.

        Returns:
            [ceil(H/16), ceil(W/16)] bool. Empty where nothing is salient.

        Raises:
            ValueError: the user's mask is not of the picture's size, or `key_area` is not a share.
        """
        if key_area is not None and not 0 <= key_area <= 1:
            raise ValueError(f"key_area is a share from 0 to 1, not {key_area}")
        if user_mask is not None:
            if user_mask.shape != image.shape[1:]:
                size, expected = tuple(user_mask.shape[::-1]), tuple(image.shape[:0:-1])
                raise ValueError(
                    f"the mask is {size} pixels, the picture {expected}: give one of the same size"
                )
            return F.max_pool2d(user_mask.float()[None], CELL, ceil_mode=True)[0] > 0
        return key_cells(cell_means(self._net.saliency(image)), key_area)


def cell_means(values: Tensor, cell: int = CELL) -> Tensor:
    """Mean over each cell of [H,W]; cells at the right and lower border may be smaller."""
    return F.avg_pool2d(values[None], cell, ceil_mode=True)[0]


def key_cells(saliency: Tensor, key_area: float | None) -> Tensor:
    """Key map [h,w] of the saliency [h,w] of cells.

    Cells above one half are key. When they are more than `key_area`, those win that have the most
    salient surroundings: the middle of an object, in one piece and so cheap to describe.
    """
    key = saliency >= _SALIENT
    limit = key.numel() if key_area is None else int(key_area * key.numel())
    if int(key.sum()) <= limit:
        return key
    surroundings = F.avg_pool2d(saliency[None], _CORE_CELLS, 1, _CORE_CELLS // 2, count_include_pad=False)[0]
    order = torch.where(key, surroundings, -1.0).flatten().argsort(descending=True, stable=True)
    kept = torch.zeros(key.numel(), dtype=torch.bool)
    kept[order[:limit]] = True
    return kept.view_as(key)
