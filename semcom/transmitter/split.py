"""How much of a budget the key stream may take from the HCI, and how it is spent.

The whole key map comes first, then finer steps: a region refined in part, however finely, scores little
better than one that is not refined.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from semcom.contracts import Budget
from semcom.message import Protection
from semcom.networks.key_transform import FINENESSES

_CAUTION = 0.95
_TYPICAL_BPP = 0.03
_ROUNDING = 1.01  # a budget of a rate is whole bytes, or whole symbols, and may be a little below it


@dataclass(frozen=True)
class KeyShares:
    """The key stream's best share by rate of what it and the HCI have together (`benchmarks/split.py`).

    Attributes:
        bpp: rates, ascending.
        shares: 0 to 1; each from its rate on, the first one below it too: where a share has not been measured
            to pay, the next lower rate's holds.
    """

    bpp: Sequence[float]
    shares: Sequence[float]

    def of(self, budget: Budget, num_pixels: int) -> float:
        """For a picture; a budget in another unit is converted by what a typical HCI costs in it."""
        num_bytes = _TYPICAL_BPP * num_pixels / 8
        cost = budget.cost([(Protection.BASE.value, round(num_bytes))])
        reached = np.searchsorted(self.bpp, _ROUNDING * _TYPICAL_BPP * budget.limit / cost, side="right")
        return self.shares[max(int(reached) - 1, 0)]


def finest_within_share(
    key_map: Tensor, cost: Callable[[Tensor, int], float], limit: float
) -> tuple[Tensor, int]:
    """The finest quantiser whose stream of a whole key map costs no more than `limit`; and the map.

    Where not even the coarsest does, that one, and as much of the map as may be.

    Args:
        key_map: [h,w] bool.
        cost: of the key stream of a map with a fineness, in the budget's unit.
        limit: in the same unit.
    """
    for fineness in reversed(FINENESSES):
        if cost(key_map, fineness) <= limit:
            return key_map, fineness
    return within_share(key_map, lambda cells: cost(cells, FINENESSES[0]), limit), FINENESSES[0]


def within_share(key_map: Tensor, cost: Callable[[Tensor], float], limit: float) -> Tensor:
    """The key map, or as much of its middle as costs no more than `limit`.

    Args:
        key_map: [h,w] bool.
        cost: of the key stream of a map, in the budget's unit.
        limit: in the same unit.
    """
    while bool(key_map.any()) and (spent := cost(key_map)) > limit:
        cells = int(key_map.sum())
        # Cells cost unequally, so a share in proportion may still be too dear: a little less than that.
        key_map = middle(key_map, min(cells - 1, int(_CAUTION * cells * limit / spent)))
    return key_map


def middle(key_map: Tensor, count: int) -> Tensor:
    """The `count` cells of a map [h,w] that lie deepest inside its regions."""
    framed = torch.nn.functional.pad(key_map, (1, 1, 1, 1))
    depth = torch.from_numpy(distance_transform_edt(framed.numpy())[1:-1, 1:-1])
    kept = torch.zeros(key_map.numel(), dtype=torch.bool)
    kept[depth.flatten().argsort(descending=True, stable=True)[:count]] = True
    return kept.view_as(key_map)
